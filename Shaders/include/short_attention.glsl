// What the kernels of attention over few tokens share: a lane has one token of one (b, h), and what it needs of the others are numbers
// that all lanes of the (b, h) read. No loops: all is straight-line code over T tokens of D elements.
//
// SHORT_TILE(pairs) declares `pair` = b H + h, `token`, the lane's own, and `first_y` and `first_qkv`, the elements y[b, 0, h, 0] and
// q[b, 0, h, 0]. Then
//   FROM(name, x, start)             declares the elements of x from `start` on, the same for all lanes;
//   FROM_AGAIN(name, x, start)       the same for another use: a compiler that sees that it is the same would load once for both, and keep
//                                    all that it has loaded on the stack;
//   VECTOR(name, x, i)               is the vector at the i-th of them, a constant multiple of 4,
//   NUMBER(name, x, i)               the i-th of them alone, where x is bound number by number;
//   OWN_FROM(name, x, start, apart)  declares the elements of `token`, where those of token 0 start at `start` and the next ones' `apart`;
//   OWN_VECTOR(name, x, i, apart)    is the vector at the i-th of them;
//   SETTLE(v)                           before any KEEP: `v` is computed first. A compiler would put its last additions between the stores, and
//                                       all products before them on the stack, since a load may not pass a store;
//   KEEP_ROW(buffer, start, apart, v)   stores `v`, by vectors, as the row of `token`, where token 0 has its own at `start`,
//   KEEP_NUMBER(buffer, start, value)   stores a number of `token`.
// In the wide form a subgroup has a tile of ROWS tokens, the last of which moves back to the end, and what all lanes read comes by
// address (lane_loads.glsl); D is a multiple of 8.
layout(local_size_x = 64) in;
layout(constant_id = 0) const int T = 17;
layout(constant_id = 1) const int H = 4;
layout(constant_id = 2) const int D = 16;  // a multiple of 4
#include "span.glsl"

const int VECTORS = D / 4;
const int APART = 3 * H * D;  // rows of qkv
#define SHORT_PLACES int first_y = (pair / H * T * H + pair % H) * D, first_qkv = (pair / H * T * 3 * H + pair % H) * D;

/// sum + a . b
float plus_dot(float sum, vec4 a, vec4 b) { return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, sum)))); }

#ifdef WIDE
#include "lane_loads.glsl"
const int TILES = (T + int(LANES) - 1) / int(LANES);  // per (b, h)
const int ROWS = (T + TILES - 1) / TILES;
#define SHORT_TILE(pairs) \
  PART_HERE(1, (pairs) * TILES) \
  int pair = int(known_) / TILES, first_token_ = min(int(known_) % TILES * ROWS, T - ROWS); \
  int token = first_token_ + min(int(gl_SubgroupInvocationID), ROWS - 1); \
  uint settled_ = 0; \
  SHORT_PLACES
vec4 vector(Floats from, int i) { return vec4(from.at[i], from.at[i + 1], from.at[i + 2], from.at[i + 3]); }
// Lanes past the last of the tile have its token, too, and store the same.
vec4 own_vector(Floats from, int i, int apart) {
  vec4 own = vec4(0.0);
  [[unroll]] for (int lane = 0; lane < ROWS; lane++)
    own = mix(own, vector(from, i + lane * apart), bvec4(min(int(gl_SubgroupInvocationID), ROWS - 1) == lane));
  return own;
}
#define FROM(name, source, start) Floats name = floats_at(source##_address, start);
#define FROM_AGAIN(name, source, start) FROM(name, source, (start) + int(uint(identity[0])))
#define OWN_FROM(name, source, start, apart) FROM(name, source, (start) + first_token_ * (apart))
#define VECTOR(name, source, i) vector(name, i)
#define OWN_VECTOR(name, source, i, apart) own_vector(name, i, apart)
#define NUMBER(name, source, i) name.at[i]
#define SETTLE(v) [[unroll]] for (int c_ = 0; c_ < VECTORS; c_++) { \
  uvec4 bits_ = floatBitsToUint((v)[c_]); \
  settled_ |= bits_.x | bits_.y | bits_.z | bits_.w; \
}
#define KEEP_ROW(buffer, start, apart, v) { \
  uint settle_ = uint(identity[settled_ & uint(identity[0])]); \
  if (BROADCASTS) { \
    SCATTER_ROW(buffer, uint((start) + token * (apart)) + settle_, D, v) \
  } else { \
    uint place_ = (uint((start) + first_token_ * (apart)) >> 3) + settle_; \
    [[unroll]] for (int c_ = 0; c_ < VECTORS; c_ += 2) \
      STORE_FIRST_LANES(buffer, ROWS, place_ + lane_ * uint((apart) / 8) + c_ / 2, wide((v)[c_], (v)[c_ + 1])) \
  } \
}
#define KEEP_NUMBER(buffer, start, value) \
  if (BROADCASTS) \
    buffer[(start) + token] = value; \
  else \
    [[unroll]] for (uint lane_ = 0; lane_ < ROWS; lane_++) buffer[uint((start) + first_token_) + lane_] = LANE_OF(value, lane_);
#else
#include "linear.glsl"
#define SHORT_TILE(pairs) \
  uint place_ = linear_index(); \
  bool stores_ = place_ < (pairs) * uint(T); \
  int pair = int(min(place_ / uint(T), (pairs) - 1)), token = int(place_ % uint(T)); \
  SHORT_PLACES
#define FROM(name, source, start) int name = start;
#define FROM_AGAIN(name, source, start) FROM(name, source, start)
#define OWN_FROM(name, source, start, apart) int name = (start) + token * (apart);
#define VECTOR(name, source, i) imageLoad(source, (name + (i)) / 4)
#define OWN_VECTOR(name, source, i, apart) VECTOR(name, source, i)
#define NUMBER(name, source, i) texelFetch(source, name + (i)).x
#define SETTLE(v)
#define KEEP_ROW(buffer, start, apart, v) \
  [[unroll]] for (int c_ = 0; c_ < VECTORS; c_++) \
    if (stores_) buffer[((start) + token * (apart)) / 4 + c_] = (v)[c_];
#define KEEP_NUMBER(buffer, start, value) if (stores_) buffer[(start) + token] = value;
#endif
