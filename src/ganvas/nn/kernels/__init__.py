"""What training in bf16 on a processor does beside its products, in C: in fewer passes over memory than PyTorch's operators.

`kernels.c` is compiled where it first runs, by whatever compiler there is (`library.py`); `calls.py` hands tensors to
it and tries it against PyTorch's results; `functions.py` has its gradients. Where there is no compiler, on another
system than Linux, or where the numbers differ, PyTorch's operators run instead.
"""
