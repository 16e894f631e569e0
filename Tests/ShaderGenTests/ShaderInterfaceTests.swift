import ShaderCompiler
import Testing

@testable import ShaderReflection
@testable import shadergen

@Suite struct ShaderInterfaceTests {
  @Test func bindingsKeepTheirKindAndAccess() throws {
    let interface = try reflect(
      """
      layout(binding = 1) readonly buffer X { vec4 x[]; float last; } blocks;
      layout(binding = 0) writeonly buffer Y { vec4 y[]; };
      layout(binding = 2) buffer Z { readonly float a; float z[]; };
      layout(binding = 3) uniform textureBuffer texels;
      layout(binding = 4) uniform samplerBuffer sampled;
      layout(binding = 5, rgba32f) uniform readonly imageBuffer loaded;
      layout(binding = 6, r32ui) uniform uimageBuffer both;
      """)
    #expect(
      interface.bindings.map { "\($0.index) \($0.name) \($0.kind) \($0.access)" } == [
        "0 y storageBuffer write", "1 blocks storageBuffer read", "2 Z storageBuffer readWrite",
        "3 texels uniformTexelBuffer read", "4 sampled uniformTexelBuffer read",
        "5 loaded storageTexelBuffer read", "6 both storageTexelBuffer readWrite",
      ])
  }

  private func products(_ factor: String, byColumns: String = "true") -> String {
    """
    #version 450
    #extension GL_KHR_memory_scope_semantics : require
    #extension GL_NV_cooperative_matrix : require
    #extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
    layout(local_size_x = 32) in;
    layout(constant_id = 0) const int M = 16;
    layout(constant_id = 1) const int N = 16;
    layout(constant_id = 2) const int K = 16;
    layout(constant_id = 3) const bool FLAG = true;
    layout(binding = 0) buffer X { float16_t x[]; };
    layout(binding = 1) buffer Y { float y[]; };
    void main() {
      fcoopmatNV<16, gl_ScopeSubgroup, M, K> a;
      fcoopmatNV<16, gl_ScopeSubgroup, \(factor)> b;
      coopMatLoadNV(a, x, 0, 16, false);
      coopMatLoadNV(b, x, 256, 16, \(byColumns));
      coopMatStoreNV(coopMatMulAddNV(a, b, fcoopmatNV<32, gl_ScopeSubgroup, M, N>(0.0)), y, 0, 16, false);
    }
    """
  }

  /// Matrices are those of the Khronos extension: left factor 0, right factor 1, sum 2, and 1 where one lies by columns.
  @Test func cooperativeMatricesAreKhronos() throws {
    let words = try GLSLCompiler().compile(products("K, N"), path: "products.comp").words
    let instructions = Array(Instruction.all(of: words))
    let constants = Dictionary(
      instructions.filter { $0.code == .constant }.map { ($0.operands[1], $0.operands[2]) }
    ) { first, _ in first }
    let types = instructions.filter { $0.code == .typeCooperativeMatrixKHR }
    #expect(types.map { constants[$0.operands[5]] } == [0, 1, 2])
    let loads = instructions.filter { $0.code == .cooperativeMatrixLoadKHR }
    #expect(loads.map { constants[$0.operands[3]] } == [0, 1] && loads.map { constants[$0.operands[4]] } == [16, 16])
    #expect(instructions.count { $0.code == .cooperativeMatrixStoreKHR || $0.code == .cooperativeMatrixMulAddKHR } == 2)
    let capabilities = instructions.filter { $0.code == .capability }.map { $0.operands[0] }
    #expect(capabilities.contains(6022) && !capabilities.contains(5357))
    let old: Set<UInt32> = [5358, 5359, 5360, 5361]
    #expect(!instructions.contains { old.contains($0.code.rawValue) })
  }

  @Test(arguments: [("M, K", "true"), ("K, N", "FLAG")])
  func ambiguousMatricesAreRefused(_ factor: String, _ byColumns: String) {
    let error = #expect(throws: ShaderError.self) {
      try GLSLCompiler().compile(products(factor, byColumns: byColumns), path: "products.comp")
    }
    #expect(error?.description.hasPrefix("products.comp:1: error: cooperative matrices:") == true)
  }

  /// A module that reads buffers, or whose invocations are alone, is the same to its caller but for the kind of the bindings.
  @Test func formsKeepTheInterface() throws {
    let module = try GLSLCompiler().compile(
      """
      #version 450
      #extension GL_KHR_shader_subgroup_shuffle : require
      layout(local_size_x = 64) in;
      layout(constant_id = 3) const uint STEP = 2;
      layout(binding = 0) uniform textureBuffer x;
      layout(binding = 1) uniform utextureBuffer n;
      layout(binding = 2, rgba32f) uniform readonly restrict imageBuffer z;
      layout(binding = 3) writeonly buffer Y { vec4 y[]; };
      layout(push_constant) uniform Push { uint count; };
      vec4 twice(textureBuffer source, int i) { return 2.0 * texelFetch(source, i); }
      vec4 next(textureBuffer source, int i) { return twice(source, i + 1); }
      void main() {
        int i = int(gl_LocalInvocationIndex + gl_SubgroupID * gl_SubgroupSize);
        y[i] = next(x, i) + imageLoad(z, i) * subgroupShuffleXor(float(texelFetch(n, i).x), 1);
      }
      """, path: "forms.comp")
    let interface = try ShaderInterface(of: module)
    let lone = SPIRV.withLoneInvocations(module.words)
    let both = SPIRV.readingBuffers(lone, components: [0: 1, 1: 1, 2: 4])
    let form = ShaderModule(path: "form", text: "", words: both)
    let changed = try ShaderInterface(of: form)
    #expect(changed.bindings.map(\.name) == interface.bindings.map(\.name))
    #expect(changed.bindings.map(\.access) == interface.bindings.map(\.access))
    #expect(changed.bindings.allSatisfy { $0.kind == .storageBuffer })
    #expect(changed.push == interface.push && changed.constants == interface.constants)
    #expect(form.spirv.workgroupSize([:]) == [64, 1, 1])
    // Shader; neither of groups, nor of texel buffers.
    #expect(module.spirv.capabilities == [1, 46, 47, 61, 65] && form.spirv.capabilities == [1])
  }

  @Test func pushMembersMirrorSwiftsLayout() throws {
    let module = try compile(
      "layout(push_constant) uniform P { uint count; float scale[3]; vec2 shift; ivec4 sizes[2]; bool flag; };")
    let interface = try ShaderInterface(of: module)
    #expect(
      try PushMirror(of: interface, in: module).members.map { "\($0.name): \($0.type)" } == [
        "count: UInt32", "scale: InlineArray<3, Float>", "shift: SIMD2<Float>",
        "gap_24: UInt8", "gap_25: UInt8", "gap_26: UInt8", "gap_27: UInt8", "gap_28: UInt8", "gap_29: UInt8",
        "gap_30: UInt8", "gap_31: UInt8", "sizes: InlineArray<2, SIMD4<Int32>>", "flag: UInt32",
      ])
    #expect(interface.pushBytes == 68)
  }

  @Test func bytesInPushConstantsHaveTheirOwnSize() throws {
    let module = try compile(
      """
      #extension GL_EXT_shader_8bit_storage : require
      layout(push_constant) uniform P { uint count; uint8_t digits[6]; uint last; };
      """)
    let interface = try ShaderInterface(of: module)
    #expect(
      try PushMirror(of: interface, in: module).members.map { "\($0.name): \($0.type)" } == [
        "count: UInt32", "digits: InlineArray<6, UInt8>", "gap_10: UInt8", "gap_11: UInt8", "last: UInt32",
      ])
    #expect(interface.pushBytes == 16)
  }

  /// What an op does not set follows what it does, gaps too; a gap between what it sets is Swift's own.
  @Test func gapsAreZeros() throws {
    let module = try compile(
      """
      layout(binding = 0) uniform textureBuffer x;
      layout(push_constant) uniform P { uint count; vec2 shift; uint more; uvec2 x_address; };
      """)
    let source = try swiftSource(type: "Test", module: module)
    #expect(source.contains("init(`count`: UInt32, `shift`: SIMD2<Float>, `more`: UInt32)"))
    #expect(source.contains("private let `gap_20`: UInt8 = 0"))
    #expect(!source.contains("gap_4"))
  }

  @Test func aBufferMayBeSeenAsAnotherType() throws {
    let interface = try reflect(
      """
      layout(binding = 0) writeonly buffer Floats { float y_floats[]; };
      layout(binding = 0) writeonly buffer Y { vec4 y[]; };
      """)
    #expect(interface.bindings.map(\.name) == ["y"])
    #expect(throws: ShaderError.self) {
      try reflect(
        """
        layout(binding = 0) writeonly buffer Z { float z[]; };
        layout(binding = 0) writeonly buffer Y { vec4 y[]; };
        """)
    }
  }

  @Test func constantsAreListedOnceWithTheirDefaults() throws {
    let interface = try reflect(
      """
      layout(local_size_x_id = 0, local_size_y_id = 9) in;
      layout(constant_id = 4) const float SCALE = 0.1;
      layout(constant_id = 0) const uint WIDTH = 64;
      layout(constant_id = 3) const bool CAUSAL = true;
      layout(constant_id = 6) const int SHIFT = -3;
      const uint DOUBLE = 2 * WIDTH;
      """)
    #expect(
      interface.constants.map { "\($0.id) \($0.name) \($0.scalar) \($0.bits)" } == [
        "0 WIDTH uint 64", "3 CAUSAL bool 1", "4 SCALE float \((0.1 as Float).bitPattern)",
        "6 SHIFT int \(UInt32(bitPattern: -3))", "9 local_size_y uint 1",
      ])
  }

  @Test(arguments: [
    ("layout(push_constant) uniform P { vec3 v; };", "test.comp:2: error: push constant v"),
    ("layout(push_constant) uniform P { float a; \n layout(offset = 32) vec2 v; };", "byte 32, in Swift at 8"),
    ("layout(push_constant) uniform P { vec4 v[9]; };", "144 bytes"),
    ("struct S { float a; };\n layout(push_constant) uniform P { S s; };", "test.comp:3: error: push constant s"),
    ("layout(binding = 1) buffer Y { float y[]; };", "binding 1 (y) where 0 was expected"),
    ("layout(set = 1, binding = 0) buffer Y { float y[]; };", "in set 0"),
    ("layout(binding = 0) readonly writeonly buffer Y { float y[]; };", "both readonly and writeonly"),
    ("layout(binding = 0) buffer Y { float y[]; } many[3];", "only storage buffers"),
    ("layout(binding = 0) uniform sampler2D image;", "only storage buffers"),
    ("layout(binding = 0) uniform U { float u; };", "uniform block u"),
    ("layout(constant_id = 0) const double D = 1;", "specialization constant D"),
    ("float f() { return nowhere; }", "test.comp:2: error: 'nowhere'"),
    (
      "#extension GL_GOOGLE_include_directive : require\n#include \"none.glsl\"",
      "test.comp:3: error: '#include' : no such file in"
    ),
  ])
  func refusesWithNameAndLine(declarations: String, message: String) {
    let error = #expect(throws: ShaderError.self) {
      let module = try compile(declarations)
      _ = try swiftSource(type: "TestKernel", module: module)
    }
    #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
  }

  @Test func sizesFollowTheConstants() throws {
    let spirv = try compile(
      """
      layout(local_size_x_id = 0, local_size_y = 4) in;
      layout(constant_id = 0) const uint WIDTH = 64;
      layout(constant_id = 1) const int TILES = 3;
      shared vec4 tile[TILES * 2][WIDTH + 1];
      shared float sum;
      """
    ).spirv
    #expect(spirv.workgroupSize([0: 32, 1: 5]) == [32, 4, 1])
    // Variables that main never touches are part of the module all the same.
    #expect(spirv.sharedBytes([:]) == 16 * 6 * 65 + 4)
    #expect(spirv.sharedBytes([0: 32, 1: 5]) == 16 * 10 * 33 + 4)
  }

  @Test func generatedSourceNamesEverything() throws {
    let module = try compile(
      "layout(constant_id = 0) const bool CAUSAL = true; layout(push_constant) uniform P { uint count; };")
    let text = try swiftSource(type: "TestKernel", module: module)
    #expect(text.contains("package init(`count`: UInt32)"))
    #expect(text.contains("package init(`CAUSAL`: Bool = true)"))
    #expect(text.contains(".init(id: 0, bits: `CAUSAL` ? 1 : 0)"))
  }

  /// Line 1 is the version; `declarations` starts on line 2.
  private func compile(_ declarations: String) throws -> ShaderModule {
    try GLSLCompiler().compile("#version 450\n\(declarations)\nvoid main() {}\n", path: "test.comp")
  }

  private func reflect(_ declarations: String) throws -> ShaderInterface {
    try ShaderInterface(of: compile(declarations))
  }
}
