#version 450
// y[b, n, (c, py, px)] = pixel c of patch n of image b; bytes are normalised to scale[c] pixel + offset[c].
// CHANNELS x HEIGHT x WIDTH images, PATCH x PATCH patches, count elements in all.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CHANNELS = 1;
layout(constant_id = 1) const uint HEIGHT = 28;
layout(constant_id = 2) const uint WIDTH = 28;
layout(constant_id = 3) const uint PATCH = 7;
layout(constant_id = 4) const bool BYTES = true;

layout(binding = 0) uniform utextureBuffer image;  // R32: four bytes or one float
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  vec4 scale;
  vec4 offset;
  uint count;
};

const uint ACROSS = WIDTH / PATCH;
const uint DOWN = HEIGHT / PATCH;
const uint AREA = PATCH * PATCH;

float of_channel(vec4 v, uint c) {
  if (CHANNELS == 1) return v.x;
  return c == 0 ? v.x : c == 1 ? v.y : c == 2 ? v.z : v.w;
}

float pixel(uint e) {
  uint px = e % PATCH, py = e / PATCH % PATCH, c = e / AREA % CHANNELS;
  uint n = e / (AREA * CHANNELS);
  uint row = n / ACROSS;  // of patches, over all images
  uint b = row / DOWN;
  uint at = ((b * CHANNELS + c) * HEIGHT + row % DOWN * PATCH + py) * WIDTH + n % ACROSS * PATCH + px;
  if (!BYTES) return uintBitsToFloat(texelFetch(image, int(at)).x);
  uint pixel = texelFetch(image, int(at / 4)).x >> (8 * (at % 4)) & 255;
  return float(pixel) * of_channel(scale, c) + of_channel(offset, c);
}

void main() {
  uint i = linear_index();
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  if (4 * i < count) y[i] = vec4(pixel(e.x), pixel(e.y), pixel(e.z), pixel(e.w));
}
