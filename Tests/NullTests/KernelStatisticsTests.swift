import GPU
import Testing

@Suite struct KernelStatisticsTests {
  /// What RADV, NVK, Turnip and Honeykrisp report, shortened; the names are theirs.
  @Test func driversNamesMeanTheSame() {
    let amd = KernelStatistics([
      ("VGPRs", 64), ("SGPRs", 128), ("Spilled VGPRs", 2), ("Spilled SGPRs", 3), ("LDS size", 8704),
      ("Subgroups per SIMD", 16), ("Code size", 3172), ("Latency", 8950),
    ])
    #expect(amd.registers == 64 && amd.spills == 5 && amd.sharedBytes == 8704 && amd.subgroups == 16)
    #expect(amd.codeBytes == 3172 && amd.cycles == 8950 && amd.instructions == nil)
    let nvidia = KernelStatistics([
      ("Number of GPRs", 104), ("Spills to memory", 4), ("Spills to reg", 9), ("Max warps/SM", 16),
      ("Static cycle count", 17_924), ("SLM size", 96),
    ])
    #expect(nvidia.registers == 104 && nvidia.spills == 4 && nvidia.subgroups == 16 && nvidia.scratch == 96)
    let adreno = KernelStatistics([("Registers used", 16), ("STP Count", 1), ("Max Waves Per Core", 12)])
    #expect(adreno.registers == 16 && adreno.spills == 1 && adreno.subgroups == 12 && adreno.sharedBytes == nil)
    let apple = KernelStatistics([("GPRs", 79), ("Spills", 0), ("Threads", 1024), ("Scratch", 8)])
    #expect(apple.registers == 79 && apple.spills == 0 && apple.subgroups == 1024 && apple.scratch == 8)
  }
}
