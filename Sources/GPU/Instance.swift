import CVulkan
import Synchronization

/// The connection to the Vulkan loader.
package final class Instance: Sendable {
  let handle: Handle
  let log: MessageLog
  /// Whether VK_LAYER_KHRONOS_validation, with synchronisation validation, watches every call.
  package let validates: Bool
  private let messenger: Handle?

  /// `onMessage` is called with every validation message, on the thread that made the faulty call.
  package init(
    validation: Bool = false, onMessage: (@Sendable (String) -> Void)? = nil
  ) throws(VulkanError) {
    var scratch = Scratch()
    defer { scratch.free() }
    let extensions = try enumerate("vkEnumerateInstanceExtensionProperties", of: VkExtensionProperties()) {
      vkEnumerateInstanceExtensionProperties(nil, $0, $1)
    }.map { text($0.extensionName) }

    var application = VkApplicationInfo()
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO
    application.pApplicationName = scratch.string("graft")
    // Exactly 1.2: some drivers change floating-point contraction with the version an application asks for.
    application.apiVersion = apiVersion(1, 2)
    var info = VkInstanceCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
    info.pApplicationInfo = UnsafePointer(scratch.one(application))

    var enabled: [String] = []
    if extensions.contains(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME) {
      enabled.append(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)
      info.flags = UInt32(VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR.rawValue)
    }
    let log = MessageLog(onMessage)
    var debug = log.messengerInfo()
    if validation {
      let layers = try enumerate("vkEnumerateInstanceLayerProperties", of: VkLayerProperties()) {
        vkEnumerateInstanceLayerProperties($0, $1)
      }
      guard layers.contains(where: { text($0.layerName) == Self.validationLayer }) else { throw .noValidationLayer }
      enabled.append(VK_EXT_DEBUG_UTILS_EXTENSION_NAME)
      var features = VkValidationFeaturesEXT()
      features.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT
      features.enabledValidationFeatureCount = 1
      features.pEnabledValidationFeatures = UnsafePointer(
        scratch.one(VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT))
      features.pNext = UnsafeRawPointer(scratch.one(debug))
      info.pNext = UnsafeRawPointer(scratch.one(features))
      info.enabledLayerCount = 1
      info.ppEnabledLayerNames = scratch.strings([Self.validationLayer])
    }
    info.enabledExtensionCount = UInt32(enabled.count)
    info.ppEnabledExtensionNames = scratch.strings(enabled)

    do throws(VulkanError) {
      handle = try create("vkCreateInstance", messages: log) { vkCreateInstance(&info, nil, &$0) }
    } catch .callFailed(_, "VK_ERROR_INCOMPATIBLE_DRIVER") {
      throw .noDriver
    }
    self.log = log
    validates = validation
    if validation, let address = vkGetInstanceProcAddr(handle.raw, "vkCreateDebugUtilsMessengerEXT") {
      let createMessenger = unsafeBitCast(address, to: CreateMessenger.self)
      let instance = handle.raw
      messenger = try create("vkCreateDebugUtilsMessengerEXT") { createMessenger(instance, &debug, nil, &$0) }
    } else {
      messenger = nil
    }
  }

  deinit {
    if let messenger, let address = vkGetInstanceProcAddr(handle.raw, "vkDestroyDebugUtilsMessengerEXT") {
      unsafeBitCast(address, to: DestroyMessenger.self)(handle.raw, messenger.raw, nil)
    }
    vkDestroyInstance(handle.raw, nil)
  }

  /// Validation messages so far, oldest first; empty without validation.
  package var messages: [String] { log.all }

  /// Everything the engine asks about each physical device, in the driver's order.
  package func snapshots() throws(VulkanError) -> [DeviceSnapshot] {
    var snapshots: [DeviceSnapshot] = []
    for (index, device) in try physicalDevices().enumerated() {
      snapshots.append(try DeviceSnapshot(reading: device, of: handle, index: index))
    }
    return snapshots
  }

  func physicalDevices() throws(VulkanError) -> [Handle] {
    let devices = try enumerate("vkEnumeratePhysicalDevices", of: VkPhysicalDevice?.none) {
      vkEnumeratePhysicalDevices(handle.raw, $0, $1)
    }
    guard !devices.isEmpty else { throw .noDriver }
    return devices.compactMap { $0.map(Handle.init) }
  }

  private static let validationLayer = "VK_LAYER_KHRONOS_validation"
  private typealias CreateMessenger =
    @convention(c) (
      VkInstance?, UnsafePointer<VkDebugUtilsMessengerCreateInfoEXT>?, UnsafePointer<VkAllocationCallbacks>?,
      UnsafeMutablePointer<VkDebugUtilsMessengerEXT?>?
    ) -> VkResult
  private typealias DestroyMessenger =
    @convention(c) (
      VkInstance?, VkDebugUtilsMessengerEXT?, UnsafePointer<VkAllocationCallbacks>?
    ) -> Void
}

/// Collects validation messages from any thread.
final class MessageLog: Sendable {
  private let messages = Mutex<[String]>([])
  private let onMessage: (@Sendable (String) -> Void)?

  init(_ onMessage: (@Sendable (String) -> Void)?) { self.onMessage = onMessage }

  var all: [String] { messages.withLock { $0 } }

  private func append(_ message: String) {
    messages.withLock { $0.append(message) }
    onMessage?(message)
  }

  /// The messenger points to this log, so the log must outlive the instance.
  func messengerInfo() -> VkDebugUtilsMessengerCreateInfoEXT {
    var info = VkDebugUtilsMessengerCreateInfoEXT()
    info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT
    info.messageSeverity =
      VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT.rawValue | VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT.rawValue
    info.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT.rawValue
    info.pUserData = Unmanaged.passUnretained(self).toOpaque()
    info.pfnUserCallback = { severity, _, data, user in
      guard let data = data?.pointee, let message = data.pMessage, let user else { return VkBool32(VK_FALSE) }
      Unmanaged<MessageLog>.fromOpaque(user).takeUnretainedValue().append(String(cString: message))
      // True swallows the faulty call; lavapipe would otherwise execute it and may corrupt the heap.
      return severity == VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    }
    return info
  }
}
