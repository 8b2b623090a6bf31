/* fingerprints.h - CRC-64-AVRO of the parsing canonical form of each schema in wire/schemas, so that a frame can be written and
 * recognised without an Avro library. tests/unit/test_wire_plan.c computes them anew from the schemas' text. */
#ifndef AFT_WIRE_FINGERPRINTS_H
#define AFT_WIRE_FINGERPRINTS_H

#define AFTI_FINGERPRINT_IMPRESSION 0x6cfe78c04bd63d9bu
#define AFTI_FINGERPRINT_OUTCOME 0xfa563efcd0250a4au
#define AFTI_FINGERPRINT_EXAMPLE 0xdd4d9f931d8ef4e8u
#define AFTI_FINGERPRINT_EXAMPLE_BLOCK 0x7975a3a0e210a131u
#define AFTI_FINGERPRINT_CLOCK 0xbcdda531d97a5d15u
#define AFTI_FINGERPRINT_ROUND 0xee98b76ffbc3e1abu
#define AFTI_FINGERPRINT_SNAPSHOT 0x1a6e3c4c25e38cbdu
#define AFTI_FINGERPRINT_SCORE_REQUEST 0x436242dbc3b58d45u
#define AFTI_FINGERPRINT_PRESCORED 0x2378291c50d9c176u

#endif
