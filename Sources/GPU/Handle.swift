import CVulkan

/// A Vulkan handle as a value that may cross threads.
///
/// Unchecked: a handle is an opaque name. Where the specification asks for external synchronisation (queues, pools,
/// mapped memory) the owner of the handle holds a lock or is the only user.
struct Handle: @unchecked Sendable, Hashable {
  let raw: OpaquePointer

  /// The handle as the 64-bit number that debug messages use.
  var number: UInt64 { UInt64(UInt(bitPattern: raw)) }
}

/// `VK_MAKE_API_VERSION(0, major, minor, 0)`, a macro that Swift does not import.
func apiVersion(_ major: UInt32, _ minor: UInt32) -> UInt32 { major << 22 | minor << 12 }

func check(_ result: VkResult, _ function: String, messages: MessageLog? = nil) throws(VulkanError) {
  guard result != VK_SUCCESS else { return }
  switch result {
  case VK_ERROR_DEVICE_LOST: throw .deviceLost(function: function)
  case VK_ERROR_VALIDATION_FAILED_EXT: throw .validation(message: messages?.all.last ?? function)
  default: throw .callFailed(function: function, result: resultNames[result.rawValue] ?? "VkResult \(result.rawValue)")
  }
}

/// Calls a `vkCreate…` function and takes the handle it makes.
func create(
  _ function: String, messages: MessageLog? = nil, _ body: (inout OpaquePointer?) -> VkResult
) throws(VulkanError) -> Handle {
  var handle: OpaquePointer?
  try check(body(&handle), function, messages: messages)
  guard let handle else { throw .callFailed(function: function, result: "success without a handle") }
  return Handle(raw: handle)
}

/// Vulkan's two-call idiom: ask for the count, then for the elements.
func enumerate<Element>(
  _ function: String, of empty: Element,
  _ body: (UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Element>?) -> VkResult
) throws(VulkanError) -> [Element] {
  var count: UInt32 = 0
  try check(body(&count, nil), function)
  var elements = [Element](repeating: empty, count: Int(count))
  let result = elements.withUnsafeMutableBufferPointer { body(&count, $0.baseAddress) }
  // VK_INCOMPLETE: an element appeared between the two calls; the ones we have room for are valid.
  if result != VK_INCOMPLETE { try check(result, function) }
  return Array(elements.prefix(Int(count)))
}

/// Owns the C structs, arrays and strings that one Vulkan call points to; `free()` releases them together.
struct Scratch {
  private var owned: [UnsafeMutableRawPointer] = []

  mutating func one<T: BitwiseCopyable>(_ value: T) -> UnsafeMutablePointer<T> { array([value]) }

  mutating func array<T: BitwiseCopyable>(_ values: [T]) -> UnsafeMutablePointer<T> {
    let pointer = UnsafeMutablePointer<T>.allocate(capacity: max(1, values.count))
    for (i, value) in values.enumerated() { pointer[i] = value }
    owned.append(UnsafeMutableRawPointer(pointer))
    return pointer
  }

  mutating func string(_ text: String) -> UnsafePointer<CChar> { UnsafePointer(array(Array(text.utf8CString))) }

  mutating func strings(_ texts: [String]) -> UnsafePointer<UnsafePointer<CChar>?> {
    var pointers: [UnsafePointer<CChar>?] = []
    for text in texts { pointers.append(string(text)) }
    return UnsafePointer(array(pointers))
  }

  mutating func free() {
    for pointer in owned { pointer.deallocate() }
    owned = []
  }
}

/// The text of a C `char[n]` field, which Swift imports as a tuple.
func text<Field>(_ field: Field) -> String {
  withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

private let resultNames: [Int32: String] = [
  VK_NOT_READY.rawValue: "VK_NOT_READY",
  VK_TIMEOUT.rawValue: "VK_TIMEOUT",
  VK_ERROR_OUT_OF_HOST_MEMORY.rawValue: "VK_ERROR_OUT_OF_HOST_MEMORY",
  VK_ERROR_OUT_OF_DEVICE_MEMORY.rawValue: "VK_ERROR_OUT_OF_DEVICE_MEMORY",
  VK_ERROR_INITIALIZATION_FAILED.rawValue: "VK_ERROR_INITIALIZATION_FAILED",
  VK_ERROR_MEMORY_MAP_FAILED.rawValue: "VK_ERROR_MEMORY_MAP_FAILED",
  VK_ERROR_LAYER_NOT_PRESENT.rawValue: "VK_ERROR_LAYER_NOT_PRESENT",
  VK_ERROR_EXTENSION_NOT_PRESENT.rawValue: "VK_ERROR_EXTENSION_NOT_PRESENT",
  VK_ERROR_FEATURE_NOT_PRESENT.rawValue: "VK_ERROR_FEATURE_NOT_PRESENT",
  VK_ERROR_INCOMPATIBLE_DRIVER.rawValue: "VK_ERROR_INCOMPATIBLE_DRIVER",
  VK_ERROR_TOO_MANY_OBJECTS.rawValue: "VK_ERROR_TOO_MANY_OBJECTS",
  VK_ERROR_FRAGMENTED_POOL.rawValue: "VK_ERROR_FRAGMENTED_POOL",
  VK_ERROR_OUT_OF_POOL_MEMORY.rawValue: "VK_ERROR_OUT_OF_POOL_MEMORY",
  VK_ERROR_INVALID_SHADER_NV.rawValue: "VK_ERROR_INVALID_SHADER_NV",
  VK_ERROR_UNKNOWN.rawValue: "VK_ERROR_UNKNOWN",
]
