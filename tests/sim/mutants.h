/* mutants.h - which of the mutants of code is on. One thread. */
#ifndef AFT_TESTS_SIM_MUTANTS_H
#define AFT_TESTS_SIM_MUTANTS_H

#include "tests/sim/world.h"

void sim_mutate(enum sim_mutant m);
/* sim_mutate_judging: struct sim_options' `judging`. */
void sim_mutate_judging(bool on);

#endif
