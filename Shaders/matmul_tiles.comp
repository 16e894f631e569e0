#version 450
// A product of matrices for GPUs.
#extension GL_GOOGLE_include_directive : require
#include "dense_tiles.glsl"
