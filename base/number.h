/* number.h - text to numbers and back, the same in every process. strtod and printf alone read the locale: in a host that has called
 * setlocale, "0.05" would be 0, and a client would decide otherwise than the learner meant. */
#ifndef AFT_BASE_NUMBER_H
#define AFT_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* aft_number reads like strtod in the C locale, correctly rounded; *end is where it stopped (text itself: no number there). */
double aft_number(const char *text, char **end);

/* aft_number_text writes the fewest digits (from 15, of a float from 6) that aft_number reads as the same double, or float; a
 * finite one. */
#define AFT_NUMBER_TEXT 32
void aft_number_text(double v, char out[AFT_NUMBER_TEXT]);
void aft_number_text_float(float v, char out[AFT_NUMBER_TEXT]);

/* aft_duration: "14d", "10h", "10m", "30s", "250ms" -> milliseconds; aft_size: "64MB", "8KB", "1GB", "100" -> bytes (units of 1024). "0"
 * needs no unit. false: anything else, or too large for an int64_t. */
bool aft_duration(const char *text, int64_t *ms);
bool aft_size(const char *text, int64_t *bytes);

#endif
