// What elementwise kernels share. In the narrow form an invocation has one vector of four. In the wide form a subgroup has SHARE spans,
// one after another; the last ones move back to the end of the tensor, so that some spans are stored twice, as the same. There they are
// SHARE or more.
//
// EACH_SPAN(i, count) { ... STORE(y, i, v) } has spans i of 0 ..< count, one to a lane.
// EACH_BLOCK(i, count4) { ... STORE_BLOCK(y, i, v) } has vectors i of 0 ..< count4, in the wide form as many spans as there are lanes,
// of which `v`, an array of SPAN, has what READ(x, i) and READ(x, i + APART) read; PLACES(i) are the places of the four components. It
// is the faster one, for what reads its tensors as it stores them (lane_loads.glsl).
#extension GL_EXT_control_flow_attributes : require
#include "linear.glsl"
#include "span.glsl"

#ifdef WIDE
#include "lane_loads.glsl"
#define EACH_BLOCK(i, count4) \
  PART_HERE(SHARE, (count4) / SPAN) \
  [[unroll]] for (uint turn_ = 0, i = SPAN * known_; turn_ < SHARE; turn_ += LANES, i += SPAN * LANES)
#define STORE_BLOCK(buffer, i, v) STORE_HELD(buffer, known_ + turn_, LANES, v)
#define READ(x, i) held4(x##_address, 4 * (i))
#define PLACES(i) (4 * (i) + uvec4(0, LANES, 2 * LANES, 3 * LANES) + gl_SubgroupInvocationID)
#define APART LANES
#define EACH_SPAN(i, count) \
  PART_HERE(SHARE, count) \
  [[unroll]] for (uint turn_ = 0, i = known_ + gl_SubgroupInvocationID; turn_ < SHARE; turn_ += LANES, i += LANES)
#define STORE(buffer, i, v) STORE_LANES(buffer, known_ + turn_ + lane_, v)
#else
#define EACH_BLOCK(i, count4) EACH_SPAN(i, count4)
#define STORE_BLOCK(buffer, i, v) buffer[i] = v[0];
#define READ(x, i) texelFetch(x, int(i))
#define PLACES(i) (4 * (i) + uvec4(0, 1, 2, 3))
#define APART 1
#define EACH_SPAN(i, count) \
  uint i = linear_index(); \
  if (i < (count))
#define STORE(buffer, i, v) buffer[i] = v;
#endif

/// The main function of a kernel whose vector i is value(i), of count4.
#define ELEMENTWISE(buffer, count4, value) \
  EACH_BLOCK(i, count4) { \
    vec4 v_[SPAN]; \
    [[unroll]] for (uint j_ = 0; j_ < SPAN; j_++) v_[j_] = value(i + APART * j_); \
    STORE_BLOCK(buffer, i, v_) \
  }
