// swift-tools-version: 6.1
// One target per layer; imports point down only, and this file makes the compiler enforce it.
import PackageDescription

// Debian 12's shared libshaderc is underlinked and cannot be loaded, so the static archives are named, in link order.
let shadercStatic: [LinkerSetting] = [
  "shaderc_combined", "glslang", "SPIRV", "MachineIndependent", "GenericCodeGen", "OSDependent", "OGLCompiler", "HLSL",
  "glslang-default-resource-limits", "SPIRV-Tools-opt", "SPIRV-Tools", "stdc++", "m",
].map { .linkedLibrary($0) }

let package = Package(
  name: "graft",
  products: [.executable(name: "graft", targets: ["graft"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CVulkan", path: "Sources/CVulkan", pkgConfig: "vulkan"),
    .systemLibrary(name: "CShaderc", path: "Sources/CShaderc"),
    .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib"),

    .executableTarget(
      name: "shadergen", dependencies: ["CShaderc"], path: "tools/shadergen", linkerSettings: shadercStatic),
    .plugin(name: "ShaderPlugin", capability: .buildTool(), dependencies: ["shadergen"], path: "tools/ShaderPlugin"),
    .target(name: "Kernels", path: "Shaders", plugins: ["ShaderPlugin"]),

    .target(name: "Random"),
    .target(name: "GPU", dependencies: ["CVulkan", "Kernels"]),
    .target(name: "Graph", dependencies: ["GPU", "Kernels"]),
    .target(name: "Ops", dependencies: ["Graph", "Kernels", "GPU", "Random"]),
    .target(name: "NN", dependencies: ["Ops", "Graph", "Random"]),
    .target(name: "Models", dependencies: ["NN", "Ops", "Graph"]),
    .target(name: "Storage", dependencies: ["CZlib", "Random"]),
    .target(name: "Distillation", dependencies: ["Models", "NN", "Ops", "Graph", "GPU", "Storage", "Yams"]),
    .target(name: "Verification", dependencies: ["Models", "NN", "Ops", "Graph", "GPU", "Storage"]),
    .executableTarget(
      name: "graft",
      dependencies: [
        "Distillation", "Verification", "Storage", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .executableTarget(
      name: "bench",
      dependencies: [
        "Distillation", "NN", "Ops", "Graph", "GPU", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "bench", exclude: ["compare_steps.py", "recipes", "torch"]),

    .target(name: "TestSupport", dependencies: ["GPU"], path: "Tests/TestSupport"),
    .testTarget(name: "ShaderGenTests", dependencies: ["shadergen"]),
    .testTarget(
      name: "NullTests", dependencies: ["Distillation", "Ops", "Graph", "GPU", "Kernels", "Storage", "Random"]),
    .testTarget(name: "OpTests", dependencies: ["TestSupport", "Ops", "Graph", "GPU", "Kernels"]),
    .testTarget(
      name: "ModelTests",
      dependencies: [
        "TestSupport", "Verification", "Distillation", "Models", "NN", "Ops", "Graph", "GPU", "Storage", "Random",
      ]),
    .testTarget(
      name: "DistillationTests",
      dependencies: ["TestSupport", "Distillation", "Models", "NN", "Ops", "Graph", "GPU", "Storage"]),
    .testTarget(name: "CLITests", dependencies: ["graft", "TestSupport", "Distillation", "GPU", "Storage"]),
  ],
  swiftLanguageModes: [.v6]
)
