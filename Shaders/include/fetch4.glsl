// Four consecutive elements of a row, through a texel buffer: the one vector load that a software driver compiles to
// straight-line code. The view's format is R32G32B32A32 when `aligned` (every row starts at a multiple of 4 elements and
// has a multiple of 4 elements), else R32, so any size works.

/// Elements i ..< i + 4 of the row of `count` elements that starts at element `start`; zeros past its end.
/// When `aligned` the caller keeps i inside the row.
vec4 fetch4(textureBuffer source, bool aligned, int start, int i, int count) {
  vec4 value;
  if (aligned) {
    value = texelFetch(source, (start + i) >> 2);
  } else {
    ivec4 at = i + ivec4(0, 1, 2, 3);
    ivec4 inside = start + min(at, ivec4(count - 1));
    value = vec4(
        texelFetch(source, inside.x).x, texelFetch(source, inside.y).x, texelFetch(source, inside.z).x,
        texelFetch(source, inside.w).x);
    value = mix(value, vec4(0.0), greaterThanEqual(at, ivec4(count)));
  }
  return value;
}
