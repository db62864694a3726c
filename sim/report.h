/* What a run has shown, for people and for programs. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "scenario.h"

/* Writes it as text, or as one JSON object on a line. */
void report_text(struct scenario_report *report, const struct scenario_options *options, FILE *out);
void report_json(struct scenario_report *report, const struct scenario_options *options, FILE *out);

#endif
