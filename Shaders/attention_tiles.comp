#version 450
// The same as attention.comp, as products of tiles: for D a multiple of 4 CLUSTER.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]
// A cluster owns ROWS queries of one (b, h); tiles of CLUSTER * KEYS keys stream past. Lanes are keys while the scores
// of a tile are summed, and columns of v while its probabilities weigh v; what belongs to the queries is passed around.
// The softmax is online as in attention.comp, with one rescaling for each tile.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool WHOLE_SUBGROUP = true;  // subgroups are clusters: lanes are named by constants
layout(constant_id = 2) const int D = 64;
layout(constant_id = 3) const int ROWS = 16;
layout(constant_id = 4) const int KEYS = 5;  // of a lane
#include "cluster.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(binding = 2) writeonly buffer Logsumexp { float logsumexp[]; };
layout(push_constant) uniform Push {
  int T;
  int H;
  int pairs;  // B * H
  int tiles;  // of ROWS queries, per (b, h)
  float scale;
};

const int LANES = int(CLUSTER);
const int VECTORS = D / 4;                      // of a row
const int COLUMNS = VECTORS / LANES;            // vectors of v that a lane owns
const int SHARES = (ROWS + LANES - 1) / LANES;  // queries that a lane reads
const float LOWEST = -3e38;

uint peer(int l) { return WHOLE_SUBGROUP ? uint(l) : gl_SubgroupInvocationID - cluster_lane() + uint(l); }

void main() {
  int group = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
  int index = group * (int(gl_WorkGroupSize.x) / LANES) + int(cluster_index());
  bool exists = index < pairs * tiles;  // false for the clusters to spare, which repeat the last tile and store nothing
  index = min(index, pairs * tiles - 1);
  int pair = index / tiles;
  int token = index % tiles * ROWS;
  int b = pair / H;
  int h = pair % H;
  int lane = int(cluster_lane());
  // In vectors, from here on.
  int row = 3 * H * VECTORS;
  int queries = (b * T * 3 * H + h) * VECTORS;
  int keys = queries + H * VECTORS;
  int values = keys + H * VECTORS;

  int share[SHARES];
  [[unroll]] for (int m = 0; m < SHARES; m++) share[m] = queries + min(token + lane + LANES * m, T - 1) * row;
  vec4 sum[ROWS][COLUMNS];
  float peak[ROWS];
  float total[ROWS];  // of this lane's keys
  [[unroll]] for (int i = 0; i < ROWS; i++) {
    [[unroll]] for (int c = 0; c < COLUMNS; c++) sum[i][c] = vec4(0.0);
    peak[i] = LOWEST;
    total[i] = 0.0;
  }

  for (int j = 0; j < T; j += LANES * KEYS) {
    float p[ROWS][KEYS];
    int key[KEYS];
    [[unroll]] for (int n = 0; n < KEYS; n++) key[n] = keys + min(j + lane + LANES * n, T - 1) * row;
    [[unroll]] for (int i = 0; i < ROWS; i++)
      [[unroll]] for (int n = 0; n < KEYS; n++) p[i][n] = 0.0;
    for (int c = 0; c < VECTORS; c++) {
      vec4 q[SHARES];
      vec4 k[KEYS];
      [[unroll]] for (int m = 0; m < SHARES; m++) q[m] = imageLoad(qkv, share[m] + c);
      [[unroll]] for (int n = 0; n < KEYS; n++) k[n] = imageLoad(qkv, key[n] + c);
      [[unroll]] for (int i = 0; i < ROWS; i++) {
        vec4 x = subgroupShuffle(q[i / LANES], peer(i % LANES));
        [[unroll]] for (int n = 0; n < KEYS; n++)
          p[i][n] += (x.x * k[n].x + x.y * k[n].y) + (x.z * k[n].z + x.w * k[n].w);
      }
    }

    [[unroll]] for (int i = 0; i < ROWS; i++) {
      float top = LOWEST;
      [[unroll]] for (int n = 0; n < KEYS; n++) {
        p[i][n] = j + lane + LANES * n < T ? p[i][n] * scale : LOWEST;
        top = max(top, p[i][n]);
      }
      top = max(peak[i], cluster_max(top));
      float shrink = exp(peak[i] - top);
      float t = total[i] * shrink;
      [[unroll]] for (int n = 0; n < KEYS; n++) {
        p[i][n] = exp(p[i][n] - top);
        t += p[i][n];
      }
      peak[i] = top;
      total[i] = t;
      [[unroll]] for (int c = 0; c < COLUMNS; c++) sum[i][c] *= shrink;
    }

    // LANES keys at a time: the first of each lane, whereupon the others move up, since registers have no index.
    for (int n = 0; n < KEYS && j + LANES * n < T; n++) {
      vec4 v[LANES][COLUMNS];
      [[unroll]] for (int l = 0; l < LANES; l++)
        [[unroll]] for (int c = 0; c < COLUMNS; c++)
          v[l][c] = imageLoad(qkv, values + min(j + LANES * n + l, T - 1) * row + lane + LANES * c);
      [[unroll]] for (int i = 0; i < ROWS; i++) {
        vec4 s[COLUMNS];
        [[unroll]] for (int c = 0; c < COLUMNS; c++) s[c] = sum[i][c];
        [[unroll]] for (int l = 0; l < LANES; l++) {
          float weight = subgroupShuffle(p[i][0], peer(l));
          [[unroll]] for (int c = 0; c < COLUMNS; c++) s[c] += weight * v[l][c];
        }
        [[unroll]] for (int c = 0; c < COLUMNS; c++) sum[i][c] = s[c];
        [[unroll]] for (int m = 1; m < KEYS; m++) p[i][m - 1] = p[i][m];
      }
    }
  }

  [[unroll]] for (int i = 0; i < ROWS; i++) {
    float all = cluster_sum(total[i]);
    int t = token + i;
    if (exists && t < T) {
      [[unroll]] for (int c = 0; c < COLUMNS; c++)
        y[((b * T + t) * H + h) * VECTORS + lane + LANES * c] = sum[i][c] * (1.0 / all);
      if (lane == 0) logsumexp[pair * T + t] = peak[i] + log(all);
    }
  }
}
