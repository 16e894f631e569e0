#version 450
// The experts' products for the matrix units of GPUs.
#extension GL_GOOGLE_include_directive : require
#define MATRIX
#include "grouped_tiles.glsl"
