/* number.h - decimal text to a double, the same in every process. strtod alone reads the locale: in a host that has called
 * setlocale, "0.05" would be 0, and a client would decide otherwise than the learner meant. */
#ifndef AFT_BASE_NUMBER_H
#define AFT_BASE_NUMBER_H

/* aft_number reads like strtod in the C locale, correctly rounded; *end is where it stopped (text itself: no number there). */
double aft_number(const char *text, char **end);

#endif
