import CVulkan

/// How a texel buffer reads bytes; the shader's `layout(…)` qualifier has the same name.
package enum TexelFormat: Sendable, Hashable, CaseIterable {
  case rgba32f, r32f, rgba16f, rgba32ui, r32ui, r32i, rgba8ui, r8ui

  package var bytes: Int {
    switch self {
    case .rgba32f, .rgba32ui: 16
    case .rgba16f: 8
    case .r32f, .r32ui, .r32i, .rgba8ui: 4
    case .r8ui: 1
    }
  }

  /// The 32-bit numbers of a texel; nil where its components are smaller.
  package var words: Int? {
    switch self {
    case .rgba32f, .rgba32ui: 4
    case .r32f, .r32ui, .r32i: 1
    case .rgba16f, .rgba8ui, .r8ui: nil
    }
  }

  var vulkan: VkFormat {
    switch self {
    case .rgba32f: VK_FORMAT_R32G32B32A32_SFLOAT
    case .r32f: VK_FORMAT_R32_SFLOAT
    case .rgba16f: VK_FORMAT_R16G16B16A16_SFLOAT
    case .rgba32ui: VK_FORMAT_R32G32B32A32_UINT
    case .r32ui: VK_FORMAT_R32_UINT
    case .r32i: VK_FORMAT_R32_SINT
    case .rgba8ui: VK_FORMAT_R8G8B8A8_UINT
    case .r8ui: VK_FORMAT_R8_UINT
    }
  }
}
