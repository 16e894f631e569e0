import Kernels
import Testing

@Suite struct KernelSourceTests {
  @Test func everyModuleStartsWithTheMagicNumber() {
    #expect(!KernelSource.all.isEmpty)
    for kernel in KernelSource.all { #expect(kernel.words().first == 0x0723_0203, "\(kernel.name)") }
  }

  /// Walks the instructions: a wrong or missing word breaks the chain of lengths.
  @Test func instructionLengthsAddUpToTheModule() {
    for kernel in KernelSource.all {
      let words = kernel.words()
      var next = 5
      while next < words.count, words[next] >> 16 > 0 { next += Int(words[next] >> 16) }
      #expect(next == words.count, "\(kernel.name)")
    }
  }

  @Test func bindingsAreNumberedWithoutGaps() {
    for kernel in KernelSource.all { #expect(kernel.bindings.map(\.index) == Array(0..<UInt32(kernel.bindings.count))) }
  }

  /// The recorder writes eight bytes there. Barriers are derived from a binding's access, and by an address a kernel only reads.
  @Test func addressesAreOfWhatIsReadOnly() {
    for kernel in KernelSource.all {
      for address in kernel.addresses {
        #expect(kernel.bindings[address.binding].access == .read, "\(kernel.name)")
        #expect(address.offset % 8 == 0 && address.offset + 8 <= kernel.pushConstantBytes, "\(kernel.name)")
      }
    }
    #expect(LayerNormKernel.source.addresses.isEmpty)
    #expect(LayerNormKernel.wide?.addresses.map(\.binding) == [0, 1, 2])
  }

  @Test func fillMirrorsItsShader() throws {
    let source = FillKernel.source
    #expect(source.name == "fill")
    let y = try #require(source.bindings.first)
    #expect((y.name, y.kind, y.access) == ("y", .storageBuffer, .write))
    #expect(source.pushConstantBytes == MemoryLayout<FillKernel.Push>.size)
    #expect(MemoryLayout<FillKernel.Push>.offset(of: \.value) == 4)
    #expect(FillKernel.Constants().entries == [SpecializationEntry(id: 0, bits: 64)])
    #expect(FillKernel.Constants(LOCAL_SIZE: 128).entries == [SpecializationEntry(id: 0, bits: 128)])
  }
}
