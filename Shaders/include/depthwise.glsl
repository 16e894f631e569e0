// Depthwise convolution of [B, H, W, C] with 7 x 7 taps and zeros around the image.
layout(constant_id = 0) const uint H = 16;
layout(constant_id = 1) const uint W = 16;
layout(constant_id = 2) const uint C = 64;
const int K = 7;
const uint C4 = (C + 3) / 4;

// Channels c ..< c + 4 of row y and column x of image b of `source`; zeros outside the image.
vec4 pixel(textureBuffer source, int b, int y, int x, uint c) {
  bool is_inside = y >= 0 && y < int(H) && x >= 0 && x < int(W);
  int at = (b * int(H) + clamp(y, 0, int(H) - 1)) * int(W) + clamp(x, 0, int(W) - 1);
  return mix(vec4(0.0), fetch4(source, C % 4 == 0, at * int(C), int(c), int(C)), bvec4(is_inside));
}
