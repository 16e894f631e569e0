// What the three attention kernels share: the layout of qkv, tiles of tokens, and rows spread over a cluster.
//
// Self-attention pairs every token with every token of the same batch element. A lane owns ROWS tokens of one (b, h)
// and keeps their rows in registers; all tokens stream past, STEP at a time. The lanes of a cluster work on the same
// (b, h): each reads its share of the vectors of a step, and subgroupShuffle passes them around. With CLUSTER = 1 a
// lane reads everything itself, and its neighbours may work on another (b, h): less waste where T is small.
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;  // subgroups are clusters: lanes are named by constants
layout(constant_id = 2) const int D = 16;
layout(constant_id = 3) const int ROWS = 3;
layout(constant_id = 4) const int STEP = 2;
#include "cluster.glsl"
#include "image_row.glsl"
#include "store4.glsl"

layout(push_constant) uniform Push {
  int T;
  int H;
  int pairs;  // B * H
  int tiles;  // of ROWS * CLUSTER tokens, per (b, h)
  float scale;
};

const int LANES = int(CLUSTER);
const int VECTORS = (D + 3) / 4;                          // of one row
const int SHARES = (STEP * VECTORS + LANES - 1) / LANES;  // vectors that a lane reads in one step

// What a lane works on.
struct Tile {
  int pair;     // b * H + h
  int token;    // the lane's first token; the others follow LANES apart
  int qkv;      // element of q[b, 0, h, 0] in qkv; k lies C further, v 2 C
  int merged;   // element of y[b, 0, h, 0] in y
  bool exists;  // false for the clusters to spare in the last workgroup, which repeat the last tile and store nothing
};

Tile tile_here() {
  int group = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
  int index = group * (int(gl_WorkGroupSize.x) / LANES) + int(cluster_index());
  Tile tile;
  tile.exists = index < pairs * tiles;
  index = min(index, pairs * tiles - 1);
  tile.pair = index / tiles;
  tile.token = index % tiles * (ROWS * LANES) + int(cluster_lane());
  int b = tile.pair / H;
  int h = tile.pair % H;
  tile.merged = (b * T * H + h) * D;
  tile.qkv = (b * T * 3 * H + h) * D;
  return tile;
}

// A vector that a lane reads in every step: which of the step's tokens, and which vector of its row.
struct Share {
  int token;
  int vector;
};

Share share_here(int m) {
  int index = min(int(cluster_lane()) + LANES * m, STEP * VECTORS - 1);
  return Share(index / VECTORS, index % VECTORS);
}

// Lane l of this cluster, as subgroupShuffle counts. A driver that sees a constant compiles to a plain permutation.
uint peer(int l) { return WHOLE_SUBGROUP ? uint(l) : gl_SubgroupInvocationID - cluster_lane() + uint(l); }

// `x` of lane l, for all lanes of the cluster.
vec4 pass(vec4 x, int l) { return LANES == 1 ? x : subgroupShuffle(x, peer(l)); }
float pass(float x, int l) { return LANES == 1 ? x : subgroupShuffle(x, peer(l)); }

// Vector c of the row of the step's token t, out of the shares that the lanes have read.
#define STREAMED(shares, t, c) pass(shares[((t) * VECTORS + (c)) / LANES], ((t) * VECTORS + (c)) % LANES)
