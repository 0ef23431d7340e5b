// Opens a block over the chunks base … base + STEP - 1 of a head: a loop, or all at once.
#if LOOP
  for (var base = 0u; base < $(CHUNKS)u; base += $(STEP)u) {
#else
  { const base = 0u;
#endif
