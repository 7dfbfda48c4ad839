"""Mixed precision: which layers may be ternary so that the loss stays below a limit.

`choose` does it, in this order:

1. `search` compiles choices of ternary layers and measures them on some of the samples.
2. `candidates` says which are worth measuring: `ladder` orders sets of layers, `parts` makes
   layers ternary for those of their `channels` that lose least.
3. `proof` confirms the cheapest, on samples that have chosen nothing.
4. Where not even int8 holds the limit, `widening` gives some layers int16 activations, and the
   search starts again from there.

`result` is what is handed back, `telling` what the user is told.
"""
