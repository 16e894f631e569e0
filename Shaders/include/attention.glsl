// What the three attention kernels share: the layout of qkv, tiles of tokens, and rows spread over a cluster.
//
// Self-attention pairs every token with every token of the same batch element. A lane owns ROWS tokens of one (b, h), or
// one of PARTS parts of each, and keeps them in registers; all tokens stream past, STEP at a time. The lanes of a
// cluster work on the same (b, h): each reads its share of the vectors of a step, and subgroupShuffle passes them
// around. With CLUSTER = 1 a lane reads everything itself, and its neighbours may work on another (b, h): less waste
// where T is small.
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;  // subgroups are clusters: lanes are named by constants
layout(constant_id = 2) const int D = 16;
layout(constant_id = 3) const int ROWS = 3;
layout(constant_id = 4) const int STEP = 2;
layout(constant_id = 5) const int PARTS = 1;  // of a row, for one part of the cluster's lanes each; a power of two
#include "cluster.glsl"
#include "image_row.glsl"
#include "span.glsl"
#include "store4.glsl"

layout(push_constant) uniform Push {
  int T;
  int H;
  int pairs;  // B * H
  int tiles;  // of ROWS * OWNERS tokens, per (b, h)
  float scale;
  IDENTITY
};

const int MEMBERS = int(CLUSTER);
const int OWNERS = MEMBERS / PARTS;                           // lanes that own different tokens
const int ROW_VECTORS = (D + 3) / 4;
const int VECTORS = (ROW_VECTORS + PARTS - 1) / PARTS;      // of a lane's part of a row; the last part may have fewer
const int SHARES = (STEP * VECTORS + OWNERS - 1) / OWNERS;  // vectors that a lane reads in one step

// What a lane works on.
struct Tile {
  int pair;     // b * H + h
  int token;    // the lane's first token; the others follow OWNERS apart
  int qkv;      // element of q[b, 0, h, 0] in qkv; k lies C further, v 2 C
  int merged;   // element of y[b, 0, h, 0] in y
  bool exists;  // false for the clusters to spare in the last workgroup, which repeat the last tile and store nothing
};

Tile tile_here() {
  int group = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
  int index = group * (int(gl_WorkGroupSize.x) / MEMBERS) + int(cluster_index());
  Tile tile;
  tile.exists = index < pairs * tiles;
  index = min(index, pairs * tiles - 1);
  tile.pair = index / tiles;
  tile.token = index % tiles * (ROWS * OWNERS) + int(cluster_lane()) % OWNERS;
  int b = tile.pair / H;
  int h = tile.pair % H;
  tile.merged = (b * T * H + h) * D;
  tile.qkv = (b * T * 3 * H + h) * D;
  return tile;
}

// The first vector of this lane's part of a row.
int first_vector() { return int(cluster_lane()) / OWNERS * VECTORS; }

// Vector `v` of the row of D elements at `start`; zeros where a part has more vectors than are left of the row.
#define PART4(source, start, v) \
  (ROW_VECTORS % PARTS == 0 ? ROW4(source, start, v) \
                            : (v) < ROW_VECTORS ? ROW4(source, start, min(v, ROW_VECTORS - 1)) : vec4(0.0))

// After KEEP_TOKENS, KEEP_PLACE declares the place of the row of a lane's first token, by its element; the next tokens' lie `apart`, a
// multiple of 8. KEEP_ROW stores the lane's part of the row of its r-th token there. KEEP_NUMBER_PLACE and KEEP_NUMBER are for a number
// of each token. In the wide form D and a lane's part are whole spans.
#ifdef WIDE
#include "lane_stores.glsl"
#define KNOWN_BY_CLUSTER(known, number) \
  uint known[LANES / CLUSTER]; \
  [[unroll]] for (uint k_ = 0; k_ < LANES / CLUSTER; k_++) { \
    uint first_ = LANE_OF(uint(number), k_ * CLUSTER); \
    known[k_] = known_uniform(first_); \
  }
// How many of the tile's tokens there are.
#define KEEP_TOKENS(tile) KNOWN_BY_CLUSTER(kept_, tile.exists ? clamp(T - tile.token, 0, ROWS * OWNERS) : 0)
#define KEEP_PLACE(place, element) KNOWN_BY_CLUSTER(place, (element) >> 3)
#define KEEP_NUMBER_PLACE(place, element) KNOWN_BY_CLUSTER(place, element)
// The tile's token that is the r-th of lane `lane_`.
#define TOKEN_OF(r) (lane_ % CLUSTER % uint(OWNERS) + uint(OWNERS * (r)))
// The choice changes nothing that is kept, see matmul_panels.glsl.
#define KEEP_ROW(buffer, place, apart, r, v) \
  [[unroll]] for (int c_ = 0; c_ < VECTORS; c_ += 2) \
    STORE_LANES( \
        buffer, \
        TOKEN_OF(r) < kept_[lane_ / CLUSTER] \
            ? place[lane_ / CLUSTER] + TOKEN_OF(r) * uint((apart) >> 3) + (lane_ % CLUSTER / OWNERS * VECTORS + c_) / 2 : NOWHERE, \
        wide(tile.exists ? (v)[c_] : vec4(0.0), tile.exists ? (v)[c_ + 1] : vec4(0.0)))
#define KEEP_NUMBER(buffer, place, r, x) \
  [[unroll]] for (uint lane_ = 0; lane_ < LANES; lane_++) \
    if (lane_ % CLUSTER < OWNERS) \
      buffer[TOKEN_OF(r) < kept_[lane_ / CLUSTER] ? place[lane_ / CLUSTER] + TOKEN_OF(r) : NOWHERE] = \
          LANE_OF(x, lane_);
#else
#define KEEP_TOKENS(tile)
#define KEEP_PLACE(place, element) int place = element;
#define KEEP_NUMBER_PLACE(place, element) int place = element;
#define KEEPS(r) (tile.exists && tile.token + OWNERS * (r) < T)
#define KEEP_ROW(buffer, place, apart, r, v) \
  [[unroll]] for (int c_ = 0; c_ < VECTORS; c_++) \
    if (KEEPS(r) && (ROW_VECTORS % PARTS == 0 || first_vector() + c_ < ROW_VECTORS)) \
      STORE4(buffer, place + OWNERS * (r) * (apart), 4 * (first_vector() + c_), D, (v)[c_])
#define KEEP_NUMBER(buffer, place, r, x) if (KEEPS(r) && first_vector() == 0) buffer[place + OWNERS * (r)] = x;
#endif

// A vector that a lane reads in every step: which of the step's tokens, and which vector of its row.
struct Share {
  int token;
  int vector;
};

Share share_here(int m) {
  int index = min(int(cluster_lane()) % OWNERS + OWNERS * m, STEP * VECTORS - 1);
  return Share(index / VECTORS, first_vector() + index % VECTORS);
}

// Lane l of this cluster, as subgroupShuffle counts. A driver that sees a constant compiles to a plain permutation, and
// to a cheaper one where no value crosses from one half of a register to the other.
uint peer(int l) { return WHOLE_SUBGROUP ? uint(l) : gl_SubgroupInvocationID - cluster_lane() + uint(l); }
uint peer_of_part(int l) { return PARTS == 1 ? peer(l) : (gl_SubgroupInvocationID & ~uint(OWNERS - 1)) + uint(l); }

// `x` of the lane `place`, the l-th of so many neighbours.
#ifdef WIDE
#define OF_NEIGHBOURS(T) T of_neighbours(T x, int count, int l) { \
  T value = subgroupBroadcast(x, l); \
  [[unroll]] for (int first = count; first < int(LANES); first += count) \
    if (gl_SubgroupInvocationID >= first) value = subgroupBroadcast(x, first + l); \
  return value; \
}
OF_NEIGHBOURS(float)
OF_NEIGHBOURS(vec4)
#define OF_PEERS(x, count, l, place) (BROADCASTS ? of_neighbours(x, count, l) : subgroupShuffle(x, place))
#else
#define OF_PEERS(x, count, l, place) subgroupShuffle(x, place)
#endif

// `x` of lane l, for all lanes of the cluster.
float pass(float x, int l) { return MEMBERS == 1 ? x : OF_PEERS(x, int(CLUSTER), l, peer(l)); }

// `x` of lane l of those that own the same part, for all of these.
vec4 pass_part(vec4 x, int l) { return OWNERS == 1 ? x : OF_PEERS(x, PARTS == 1 ? int(CLUSTER) : OWNERS, l, peer_of_part(l)); }

// Vector c of this lane's part of the row of the step's token t, out of the shares that the lanes have read.
#define STREAMED(shares, t, c) pass_part(shares[((t) * VECTORS + (c)) / OWNERS], ((t) * VECTORS + (c)) % OWNERS)

// The sum over the parts, in the order of a butterfly. No loop: a driver that does not unroll it shuffles lane by lane.
float whole(float x) {
  if (PARTS > 1) x += subgroupShuffleXor(x, OWNERS);
  if (PARTS > 2) x += subgroupShuffleXor(x, 2 * OWNERS);
  if (PARTS > 4) x += subgroupShuffleXor(x, 4 * OWNERS);
  if (PARTS > 8) x += subgroupShuffleXor(x, 8 * OWNERS);
  if (PARTS > 16) x += subgroupShuffleXor(x, 16 * OWNERS);
  if (PARTS > 32) x += subgroupShuffleXor(x, 32 * OWNERS);
  return x;
}
