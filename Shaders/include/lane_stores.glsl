// What the lanes of a subgroup hold, stored span by span at places that the driver knows to be the same for all lanes: a store of
// such a place, outside control flow, is a scalar one on lavapipe, where any other is a loop over lanes (docs/performance.md).
//
// The includer, in its wide form, declares `uint identity[16]` among its push constants, which the host fills with 0 ... 15. Their
// index has to be dynamically uniform (Vulkan 1.3, 15.6.1), and the driver concludes that what is read there is: it does not see that of
// a group's number.
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_subgroup_extended_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

/// `number`, below 2^20 and the same for all invocations of the group.
uint known_uniform(uint number) {
  uint known = 0;
  [[unroll]] for (uint bit = 0; bit < 20; bit += 4) known |= identity[number >> bit & 15] << bit;
  return known;
}

/// Spans first ... first + lanes of `buffer`, from the lanes in their order; `first` is made of known_uniform. Not in control flow.
#define STORE_LANES(buffer, first, lanes, v) { \
  u64vec4 held_ = span(v); \
  [[unroll]] for (uint lane_ = 0; lane_ < (lanes); lane_++) \
    buffer[(first) + lane_] = u64vec4( \
        subgroupShuffle(held_.x, lane_), subgroupShuffle(held_.y, lane_), subgroupShuffle(held_.z, lane_), \
        subgroupShuffle(held_.w, lane_)); \
}
