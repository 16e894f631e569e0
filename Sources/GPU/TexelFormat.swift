/// Element formats of texel-buffer views.
package enum TexelFormat: Sendable, Hashable {
  case rgba32f, r32f, rgba32ui, r32ui, r8ui

  package var bytes: Int {
    switch self {
    case .rgba32f, .rgba32ui: 16
    case .r32f, .r32ui: 4
    case .r8ui: 1
    }
  }
}
