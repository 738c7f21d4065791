/* doors_lint: what of an input only its door can read. */
#include "config/config.h"
#include "doors/doors.h"
#include "doors/schedule.h"

void doors_lint(const struct config *config, struct config_faults *faults)
{
	for (size_t i = 0; i < config->input_count; i++) {
		const struct config_input *input = &config->inputs[i];
		struct schedule schedule;
		char why[160];

		if (input->kind == INPUT_GENERATE && input->generate.interval &&
		    !schedule_parse(input->generate.interval, &schedule, why, sizeof why))
			config_faults_add(faults, input->line, 1, false, "%s.generate.interval: %s", input->path, why);
	}
}
