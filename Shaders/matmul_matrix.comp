#version 450
// A product of matrices for the matrix units of GPUs.
#extension GL_GOOGLE_include_directive : require
#define MATRIX
#include "dense_tiles.glsl"
