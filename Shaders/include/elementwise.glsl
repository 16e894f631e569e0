// What elementwise kernels share: EACH_SPAN(i, count) { ... STORE(y, i, v) } with spans i of 0 ..< count, each stored once in the
// narrow form. In the wide form a subgroup has SHARE spans, one after another; the last ones move back to the end of the tensor, so
// that some spans are stored twice, as the same. There count is at least SHARE.
#include "linear.glsl"
#include "span.glsl"

#ifdef WIDE
#include "lane_stores.glsl"
#define EACH_SPAN(i, count) \
  uint first_ = min(linear_subgroup() * SHARE, (count) - SHARE), known_ = known_uniform(first_); \
  [[unroll]] for (uint turn_ = 0, i = first_ + gl_SubgroupInvocationID; turn_ < SHARE; turn_ += LANES, i += LANES)
#define STORE(buffer, i, v) STORE_LANES(buffer, known_ + turn_ + lane_, v)
#else
#define EACH_SPAN(i, count) \
  uint i = linear_index(); \
  if (i < (count))
#define STORE(buffer, i, v) buffer[i] = v;
#endif
