// What the wide forms of one query's attention share: numbers of all T tokens, one a lane, in GROUPS of LANES.
#include "lane_loads.glsl"
const uint GROUPS = (T + LANES - 1) / LANES;

/// The token that this lane has in group g; the last lanes have the last one, too.
uint token_of(uint g) { return min(g * LANES + gl_SubgroupInvocationID, T - 1); }
#define IS_TOKEN(g) ((g) * LANES + gl_SubgroupInvocationID < T)
/// The number of token j, for all lanes.
#define OF_TOKEN(numbers, j) LANE_OF(numbers[(j) / LANES], (j) % LANES)

/// The address `elements` further on.
uvec2 further(uvec2 address, uint elements) { return unpackUint2x32(packUint2x32(address) + 4 * uint64_t(elements)); }
