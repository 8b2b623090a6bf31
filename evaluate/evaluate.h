/* evaluate.h - what a policy is worth: uplift over the baseline, and a simulated world to try it in. */
#ifndef AFT_EVALUATE_EVALUATE_H
#define AFT_EVALUATE_EVALUATE_H

#include "evaluate/ope.h"
#include "evaluate/simulator.h"
#include "evaluate/uplift.h"

#endif
