#include "base/log-gate.h"

#define MINUTE (UINT64_C(60) * 1000 * 1000)

bool log_gate_pass(struct log_gate *gate, uint64_t now)
{
	if (now < gate->window_ends) {
		gate->held_back++;
		return false;
	}
	gate->window_ends = now + LOG_GATE_WINDOW;
	return true;
}

uint64_t log_gate_take(struct log_gate *gate, uint64_t now)
{
	uint64_t held_back = gate->held_back;

	if (now < gate->window_ends)
		return 0;
	*gate = (struct log_gate){0};
	return held_back;
}

bool log_once_a_minute(uint64_t *told, uint64_t now)
{
	if (*told && now < *told + MINUTE)
		return false;
	*told = now;
	return true;
}
