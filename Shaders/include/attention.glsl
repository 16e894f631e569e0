// What the three attention kernels share: the layout of qkv, tiles of tokens, and rows spread over a cluster.
//
// Self-attention pairs every token with every token. A kernel's lane owns ROWS tokens of one (b, h) and keeps their
// rows in registers; the other side of the pairs streams past, STEP tokens at a time. A cluster of CLUSTER lanes reads
// these together, each lane its share of the vectors, and passes them around by subgroupShuffle.
#include "fetch4.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;  // subgroups are clusters: lanes are named by constants
layout(constant_id = 2) const int D = 16;
layout(constant_id = 3) const int ROWS = 3;
layout(constant_id = 4) const int STEP = 2;

layout(push_constant) uniform Push {
  int T;
  int C;
  int H;
  int tiles;  // of ROWS * CLUSTER tokens, per (b, h)
  int pairs;  // B * H
  float scale;
};

const bool ALIGNED = D % 4 == 0;
const int VECTORS = (D + 3) / 4;                           // of one row
const int SHARES = (STEP * VECTORS + CLUSTER - 1) / CLUSTER;  // vectors that a lane reads in one step

/// Four elements from `d` on of the D elements at `start`; zeros past their end.
vec4 row4(textureBuffer source, int start, int d) { return fetch4(source, ALIGNED, start, d, D); }

/// A tile's place in the batch, the same for all lanes of a cluster.
struct Tile {
  int lane;
  uint base;    // the cluster's first lane in its subgroup
  int token;    // the lane's first token; the others follow CLUSTER apart
  int pair;     // b * H + h
  int qkv;      // element of q[b, 0, h, 0] in qkv; k lies C further, v 2 C
  int merged;   // element of y[b, 0, h, 0] in y
  bool exists;  // the last workgroup may have clusters to spare; they repeat the last tile and store nothing
};

Tile tile_here() {
  Tile tile;
  tile.lane = int(gl_SubgroupInvocationID) % CLUSTER;
  tile.base = gl_SubgroupInvocationID - uint(tile.lane);
  int cluster = int(gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID) / CLUSTER;
  int group = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
  int index = group * (int(gl_WorkGroupSize.x) / CLUSTER) + cluster;
  tile.exists = index < pairs * tiles;
  index = min(index, pairs * tiles - 1);
  tile.pair = index / tiles;
  tile.token = index % tiles * (ROWS * CLUSTER) + tile.lane;
  int b = tile.pair / H;
  int h = tile.pair % H;
  tile.qkv = b * T * 3 * C + h * D;
  tile.merged = b * T * C + h * D;
  return tile;
}

/// `x` of a lane of the cluster, for all its lanes. The lane should be a constant.
float pass(float x, uint base, int lane) {
  if (CLUSTER == 1) return x;
  return WHOLE_SUBGROUP ? subgroupShuffle(x, lane) : subgroupShuffle(x, base + lane);
}

vec4 pass(vec4 x, uint base, int lane) {
  if (CLUSTER == 1) return x;
  return WHOLE_SUBGROUP ? subgroupShuffle(x, lane) : subgroupShuffle(x, base + lane);
}
