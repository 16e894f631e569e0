// Rows of D elements through storage texel buffers of format RGBA32F, vector by vector, for any D. A CPU driver
// compiles imageLoad into the caller, but texelFetch as a function that spills every register: in the unrolled loops
// of attention that is up to a quarter of the time. The includer declares D.

// Of the vectors a and b, which follow each other, the four elements from `shift` on, which are columns i ..< i + 4 of
// their row; zeros past its end.
vec4 row_part(vec4 a, vec4 b, int shift, int i) {
  vec4 v = a;
  if (shift == 1) v = vec4(a.yzw, b.x);
  if (shift == 2) v = vec4(a.zw, b.xy);
  if (shift == 3) v = vec4(a.w, b.xyz);
  return mix(v, vec4(0.0), greaterThanEqual(i + ivec4(0, 1, 2, 3), ivec4(D)));
}

// Vector c of the row that starts at element `start`; zeros past the row's end. A macro, because parameters of
// functions have no format.
#define ROW4(source, start, c) \
  (D % 4 == 0 ? imageLoad(source, (start) / 4 + (c)) \
              : row_part(imageLoad(source, (start) / 4 + (c)), \
                         imageLoad(source, min((start) / 4 + (c) + 1, ((start) + D - 1) / 4)), (start) % 4, 4 * (c)))
