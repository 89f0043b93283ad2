"""The loop and what it owns: averages, schedules, checkpoints, the plan of a budget."""
