/* fingerprints.h - CRC-64-AVRO of the parsing canonical form of each schema in wire/schemas, so that a frame can be written and
 * recognised without an Avro library. tests/unit/test_wire_plan.c computes them anew from the schemas' text. */
#ifndef AFT_WIRE_FINGERPRINTS_H
#define AFT_WIRE_FINGERPRINTS_H

#define AFTI_FINGERPRINT_IMPRESSION 0x649345222ffa88d3u
#define AFTI_FINGERPRINT_OUTCOME 0xfa563efcd0250a4au
#define AFTI_FINGERPRINT_EXAMPLE 0xcc7a528cc84a9888u
#define AFTI_FINGERPRINT_EXAMPLE_BLOCK 0xe51fca75b67fbba4u
#define AFTI_FINGERPRINT_CLOCK 0xbcdda531d97a5d15u
#define AFTI_FINGERPRINT_ROUND 0xee98b76ffbc3e1abu
#define AFTI_FINGERPRINT_SNAPSHOT 0x1a6e3c4c25e38cbdu
#define AFTI_FINGERPRINT_SCORE_REQUEST 0x436242dbc3b58d45u
#define AFTI_FINGERPRINT_PRESCORED 0x2378291c50d9c176u
#define AFTI_FINGERPRINT_HISTORY 0x63f40690a99b8b1fu

#endif
