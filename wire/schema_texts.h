/* schema_texts.h - the schemas as text, made at build time from wire/schemas (cmake/schemas.cmake). */
#ifndef AFT_WIRE_SCHEMA_TEXTS_H
#define AFT_WIRE_SCHEMA_TEXTS_H

#define AFT_SCHEMA_TEXT(name)                       \
    extern const unsigned char aft_schema_##name[]; \
    extern const unsigned long aft_schema_##name##_size;
AFT_SCHEMA_TEXT(impression)
AFT_SCHEMA_TEXT(outcome)
AFT_SCHEMA_TEXT(example)
AFT_SCHEMA_TEXT(example_block)
AFT_SCHEMA_TEXT(clock)
AFT_SCHEMA_TEXT(round)
AFT_SCHEMA_TEXT(snapshot)
AFT_SCHEMA_TEXT(score_request)
AFT_SCHEMA_TEXT(prescored)
AFT_SCHEMA_TEXT(history)
#undef AFT_SCHEMA_TEXT

#endif
