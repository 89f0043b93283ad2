"""Looking into what a run learnt: walks, its pictures over training, fidelity against variety, the best of many."""
