// The table of an optimised block: one word for each chunk of 64 floats, which is CHUNK4 vectors. What READ of elementwise.glsl reads lies
// within a chunk.
const uint CHUNK4 = 16;
const uint DECAYS = 0x80000000u;

// In EACH_BLOCK(i, count4), the word of the chunk of vector i + APART j. In the wide form lanes fetch those of all a subgroup's chunks.
#ifdef WIDE
#define WORD(table, i, j) \
  LANE_OF( \
      texelFetch(table, int(SPAN * known_ / CHUNK4 + gl_SubgroupInvocationID % (SPAN * SHARE / CHUNK4))).x, \
      (SPAN * turn_ + APART * (j)) / CHUNK4)
#else
#define WORD(table, i, j) texelFetch(table, int((i) / CHUNK4)).x
#endif

// Which of the elements at `places` belong to a parameter, by the word of their chunk.
bvec4 owned(uint word, uvec4 places) { return lessThan(places % 64, uvec4(word & 0xffu)); }
