// swift-tools-version: 6.1
// One target per layer; imports point down only, and this file makes the compiler enforce it.
import PackageDescription

// Debian 12's shared libshaderc is underlinked and cannot be loaded, so the static archives are named, in link order.
let shadercStatic: [LinkerSetting] = [
  "shaderc_combined", "glslang", "SPIRV", "MachineIndependent", "GenericCodeGen", "OSDependent", "OGLCompiler", "HLSL",
  "glslang-default-resource-limits", "SPIRV-Tools-opt", "SPIRV-Tools", "stdc++", "m",
].map { .linkedLibrary($0) }

// References in Double and decoding are loops over generic arrays, which take most of the time of tests where they are not
// optimised; checks stay.
let optimized: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

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
    .systemLibrary(name: "CTurboJPEG", path: "Sources/CTurboJPEG", pkgConfig: "libturbojpeg"),
    .systemLibrary(name: "CSPNG", path: "Sources/CSPNG", pkgConfig: "spng"),

    .target(name: "ShaderReflection"),
    .target(name: "ShaderCompiler", dependencies: ["CShaderc", "ShaderReflection"], linkerSettings: shadercStatic),
    .executableTarget(
      name: "shadergen", dependencies: ["ShaderCompiler", "ShaderReflection"], path: "tools/shadergen"),
    .plugin(name: "ShaderPlugin", capability: .buildTool(), dependencies: ["shadergen"], path: "tools/ShaderPlugin"),
    .target(name: "Kernels", path: "Shaders", plugins: ["ShaderPlugin"]),

    .target(name: "Random", swiftSettings: optimized),
    .target(name: "Priors", dependencies: ["Random"]),
    .target(name: "GPU", dependencies: ["CVulkan", "Kernels", "ShaderReflection"]),
    .target(name: "Graph", dependencies: ["GPU", "Kernels"], swiftSettings: optimized),
    .target(name: "Ops", dependencies: ["Graph", "Kernels", "GPU", "Random"], swiftSettings: optimized),
    .target(name: "NN", dependencies: ["Ops", "Graph", "Random"]),
    .target(name: "Tuning", dependencies: ["Ops", "Graph", "GPU", "Kernels", "Storage", "Random"]),
    .target(name: "Models", dependencies: ["NN", "Ops", "Graph"]),
    .target(name: "Storage", dependencies: ["CZlib", "Random"]),
    .target(
      name: "Images", dependencies: ["CZlib", "CTurboJPEG", "CSPNG", "Storage", "Random"], swiftSettings: optimized),
    .target(
      name: "Distillation",
      dependencies: ["Tuning", "Models", "Priors", "NN", "Ops", "Graph", "GPU", "Images", "Storage", "Yams"]),
    .target(name: "Verification", dependencies: ["Models", "Priors", "NN", "Ops", "Graph", "GPU", "Storage"]),
    .executableTarget(
      name: "graft",
      dependencies: [
        "Bench", "Tuning", "Distillation", "Verification", "Storage", "GPU", "Kernels",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .target(
      name: "Bench",
      dependencies: [
        "Tuning", "Distillation", "Models", "NN", "Ops", "Graph", "GPU", "Kernels", "Random", "Storage",
        "ShaderCompiler", "ShaderReflection", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "bench",
      exclude: ["compare_circuit.py", "compare_ops.py", "compare_steps.py", "recipes", "results", "torch"],
      resources: ["copy", "fma", "lanes_reference", "matrices", "touch"].map { .embedInCode("shaders/\($0).comp") }),

    .target(name: "TestSupport", dependencies: ["GPU"], path: "Tests/TestSupport"),
    .testTarget(name: "ShaderGenTests", dependencies: ["shadergen", "ShaderCompiler", "ShaderReflection"]),
    .testTarget(
      name: "NullTests",
      dependencies: [
        "Bench", "Tuning", "Distillation", "Ops", "Graph", "GPU", "Kernels", "Images", "Storage", "Random", "Priors",
        "CTurboJPEG",
      ]),
    .testTarget(name: "OpTests", dependencies: ["TestSupport", "Tuning", "Ops", "Graph", "GPU", "Kernels"]),
    .testTarget(
      name: "ModelTests",
      dependencies: [
        "TestSupport", "Verification", "Distillation", "Models", "NN", "Ops", "Graph", "GPU", "Storage", "Random",
      ]),
    .testTarget(
      name: "DistillationTests",
      dependencies: [
        "TestSupport", "Tuning", "Distillation", "Models", "NN", "Ops", "Graph", "GPU", "Images", "Storage",
      ]),
    .testTarget(name: "CLITests", dependencies: ["graft", "TestSupport", "Distillation", "Tuning", "GPU", "Storage"]),
  ],
  swiftLanguageModes: [.v6]
)
