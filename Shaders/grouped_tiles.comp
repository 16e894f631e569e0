#version 450
// The experts' products for GPUs.
#extension GL_GOOGLE_include_directive : require
#include "grouped_tiles.glsl"
