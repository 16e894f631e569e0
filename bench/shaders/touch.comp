#version 450
// The least that a dispatch can do: one word [1].
layout(local_size_x = 1) in;
layout(binding = 0) writeonly buffer X { uint x[]; };

void main() { x[0] = 1; }
