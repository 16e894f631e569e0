// A shader that includes this has a second form for software drivers (ComputeKernel.wide), compiled with WIDE defined: what an
// invocation stores at once, a span, is there two neighbouring vectors of four (wide.glsl) where it is one otherwise. The host takes
// it only where vectors come in pairs.
#ifndef SPAN_GLSL
#define SPAN_GLSL

#ifdef WIDE
#include "wide.glsl"
#define Span u64vec4
#define SPANS(index, name) WIDE_SPANS(index, name)
const uint SPAN = 2;
Span span(vec4 v[SPAN]) { return wide(v[0], v[1]); }
#define IDENTITY uint8_t identity[64];  // see lane_stores.glsl
#define ADDRESS(x) uvec2 x##_address;  // see lane_loads.glsl
#else
#define Span vec4
#define SPANS(index, name) layout(binding = index) writeonly buffer name##_spans { Span name[]; };
const uint SPAN = 1;
Span span(vec4 v[SPAN]) { return v[0]; }
#define IDENTITY
#define ADDRESS(x)
#endif

// Span i of what value(k) has at vector k.
#ifdef WIDE
#define SPAN_OF(value, i) wide(value(2 * (i)), value(2 * (i) + 1))
#else
#define SPAN_OF(value, i) value(i)
#endif

#endif
