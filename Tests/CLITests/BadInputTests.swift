import Foundation
import TestSupport
import Testing

/// What a person can get wrong without a device being at fault.
@Suite struct BadInputTests {
  let scratch: TemporaryDirectory

  init() throws {
    scratch = try TemporaryDirectory()
    try scratch.writeImages()
    try scratch.writeRecipe()
  }

  /// Nothing is left of a run that could not begin.
  private func expectNoRun(sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(!scratch.exists("runs"), sourceLocation: sourceLocation)
  }

  @Test(arguments: [["devices"], ["plan", "recipe.yml"], ["run", "recipe.yml"]])
  func withoutADriver(_ arguments: [String]) throws {
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
      let outcome = try Graft.start(arguments, environment: [variable: "/nonexistent.json"], in: scratch).wait()
      expectRefusal(
        outcome, "no Vulkan driver found: install one, e.g. `apt-get install mesa-vulkan-drivers`", status: 1)
    }
    expectNoRun()
  }

  @Test func commandLineMistakes() throws {
    expectRefusal(try Graft.run("run", in: scratch), "Missing expected argument '<recipe>'", status: 64)
    expectRefusal(try Graft.run("walk", in: scratch), "walk", status: 64)
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--seed", "x", in: scratch), "The value 'x' is invalid for '--seed", status: 64
    )
    expectRefusal(try Graft.run("run", "recipe.yml", "--phase", "TP", in: scratch), "PT", status: 64)
    let help = try Graft.run("--help", in: scratch)
    #expect(help.status == 0 && help.output.contains("SUBCOMMANDS") && help.errors.isEmpty)
    expectNoRun()
  }

  @Test(arguments: ["2", "0,0", "1,", "x", "-1"]) func pairsThatAreNotThere(_ pairs: String) throws {
    let outcome = try Graft.run("run", "recipe.yml", "--phase", "MT", "--pairs=\(pairs)", in: scratch)
    expectRefusal(outcome, "--pairs \(pairs): expected different numbers from 0 to 1, e.g. 0,1", status: 64)
    expectNoRun()
  }

  @Test func pairsOfNoPhase() throws {
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--pairs", "0", in: scratch), "--pairs goes with --phase MT or --phase m2mKD",
      status: 64)
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--phase", "FT", "--pairs", "0", in: scratch),
      "--pairs goes with --phase MT or --phase m2mKD", status: 64)
  }

  @Test func recipeMistakes() throws {
    try scratch.writeRecipe(extra: "lable_smoothing: 0.1")
    expectRefusal(
      try Graft.run("run", "recipe.yml", in: scratch), "recipe.yml:9: lable_smoothing: unknown key (known here: ",
      status: 1)
    try scratch.writeRecipe(extra: "evaluation: {corruptions: [fog]}")
    expectRefusal(
      try Graft.run("run", "recipe.yml", in: scratch),
      "recipe.yml:9: evaluation.corruptions: 'fog' is none of gaussian_noise, ", status: 1)
    expectRefusal(
      try Graft.run("plan", "missing.yml", in: scratch), "missing.yml: cannot be read: no such file, or not text",
      status: 1)
    try scratch.write("image.yml", Data([0xff, 0xd8, 0xff, 0x00]))
    expectRefusal(
      try Graft.run("plan", "image.yml", in: scratch), "image.yml: cannot be read: no such file, or not text", status: 1
    )
    expectNoRun()
  }
}

@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct BadInputOnDeviceTests {
  let scratch: TemporaryDirectory

  init() throws {
    scratch = try TemporaryDirectory()
    try scratch.writeImages()
    try scratch.writeRecipe()
  }

  @Test func unknownDevice() throws {
    let outcome = try Graft.run("run", "recipe.yml", "--device", "Voodoo 2", in: scratch)
    expectRefusal(outcome, "no device matches 'Voodoo 2'; present are 0: ", status: 1)
    #expect(!scratch.exists("runs"))
  }

  @Test func dataThatIsMissingOrDamaged() throws {
    try scratch.writeRecipe("elsewhere.yml", data: "elsewhere")
    let missing = try Graft.run("run", "elsewhere.yml", in: scratch)
    expectRefusal(
      missing,
      "elsewhere/train-images-idx3-ubyte.gz: no such file; apt-get install dataset-fashion-mnist, or name the directory",
      status: 1)

    let name = "data/t10k-images-idx3-ubyte.gz"
    let whole = try scratch.bytes(name)
    func damaged(_ bytes: Data, _ text: String) throws {
      try scratch.write(name, bytes)
      expectRefusal(try Graft.run("run", "recipe.yml", in: scratch), text, status: 1)
    }
    try damaged(whole.dropLast(100), "\(name): truncated: 46940 of 47040 elements for dimensions [60, 28, 28]")
    try damaged(Data("<html>not found</html>".utf8), "\(name): not an IDX file of bytes: it begins with 3c 68 74 6d")
    try damaged(whole + Data([0]), "\(name): corrupt: more than the 47040 elements")
    try damaged(Data(), "\(name): truncated")
    try scratch.write(name, whole)

    var labels = try scratch.bytes("data/train-labels-idx1-ubyte.gz")
    labels[20] = 11
    try scratch.write("data/train-labels-idx1-ubyte.gz", labels)
    expectRefusal(try Graft.run("run", "recipe.yml", in: scratch), "label 11 where there are 10 classes", status: 1)
    #expect(!scratch.exists("runs"))
  }

  @Test func batchLargerThanTheSet() throws {
    try scratch.writeRecipe(batch: 500)
    let outcome = try Graft.run("run", "recipe.yml", in: scratch)
    expectRefusal(outcome, "cannot draw batches of 500 from 200 samples; choose a batch size from 1 to 200", status: 1)
    #expect(!scratch.exists("runs"))
  }

  @Test func moreStudentImagesThanThereAre() throws {
    try scratch.writeRecipe(studentImages: 201)
    let outcome = try Graft.run("run", "recipe.yml", in: scratch)
    expectRefusal(outcome, "m2mKD: Fashion-MNIST train: cannot take 201 of 200 samples", status: 1)
    #expect(!scratch.exists("runs"))
  }

  /// It is said before anything is trained, also when a later phase is the one that does not fit.
  @Test func notEnoughDeviceMemory() throws {
    try scratch.writeRecipe(batch: 200)
    var text = String(decoding: try scratch.bytes("recipe.yml"), as: UTF8.self)
    for (old, new) in [
      ("patch: 14", "patch: 1"), ("meta: {depths: [1, 1]}", "meta: {depths: [12, 12]}"),
      (
        "features: 16, heads: 2, mlp_ratio: 1, depths: [1, 1]}",
        "features: 512, heads: 8, mlp_ratio: 8, depths: [1, 1]}"
      ),
    ] {
      let range = try #require(text.range(of: old))
      text.replaceSubrange(range, with: new)
    }
    try scratch.write("huge.yml", Data(text.utf8))
    let outcome = try Graft.run("run", "huge.yml", in: scratch)
    let expected =
      /.* needs \d+ [GM]iB of device memory \(\d+ [GM]iB for models and optimiser\), but .* has \d+ [GM]iB; use a smaller batch with accumulate\n/
    #expect(outcome.errors.firstMatch(of: expected) != nil, "\(outcome)")
    expectRefusal(outcome, "of device memory", status: 1)
    #expect(!scratch.exists("runs"))
    let plan = try Graft.run("plan", "huge.yml", in: scratch)
    #expect(plan.status == 0 && plan.output.contains("would not run here: the largest task needs "), "\(plan)")
  }

  @Test func checkpointsThatCannotBeEvaluated() throws {
    let trained = try Graft.run("run", "recipe.yml", "--phase", "PT", in: scratch)
    #expect(trained.status == 0, "\(trained)")
    let checkpoints = "runs/small-seed0/checkpoints"
    #expect(scratch.names(checkpoints) == ["meta.safetensors"])
    let whole = try scratch.bytes("\(checkpoints)/meta.safetensors")

    let evaluated = try Graft.run("evaluate", "\(checkpoints)/meta.safetensors", in: scratch)
    #expect(evaluated.status == 0 && evaluated.output.contains("meta after 3 steps of small: top-1 "), "\(evaluated)")

    func evaluate(_ bytes: Data, _ text: String) throws {
      try scratch.write("bad.safetensors", bytes)
      expectRefusal(try Graft.run("evaluate", "bad.safetensors", in: scratch), text, status: 1)
    }
    try evaluate(whole.prefix(whole.count / 2), "bad.safetensors: truncated: ")
    var damaged = whole
    damaged[whole.count - 10] ^= 4
    try evaluate(damaged, "bad.safetensors: corrupt: CRC-32 of the file is ")
    try evaluate(Data("PK\u{3}\u{4} a zip file, as other systems write".utf8), "bad.safetensors: ")
    let foreign = #"{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}     "#
    try evaluate(
      Data([UInt8(foreign.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(foreign.utf8) + [0, 0, 0, 0]),
      "bad.safetensors: not a checkpoint of a graft run (no metadata 'graft.block')")
    expectRefusal(
      try Graft.run("evaluate", "nothing.safetensors", in: scratch), "nothing.safetensors: no such file", status: 1)

    let module = try Graft.run("run", "recipe.yml", "--phase", "MT", "--pairs", "1", in: scratch)
    #expect(module.status == 0, "\(module)")
    expectRefusal(
      try Graft.run("evaluate", "\(checkpoints)/teacher.1.safetensors", in: scratch),
      "holds 'teacher.1', a module or unfinished state; only whole models can be evaluated", status: 1)
  }

  @Test func aRunIsNotOverwritten() throws {
    let first = try Graft.run("run", "recipe.yml", "--output", "mine", "--phase", "PT", in: scratch)
    #expect(first.status == 0, "\(first)")
    let before = try scratch.bytes("mine/checkpoints/meta.safetensors")
    let metrics = try scratch.bytes("mine/metrics.jsonl")

    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "mine", in: scratch),
      "mine holds a run already; continue it with --resume or choose another --output", status: 1)
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "mine", "--phase", "PT", in: scratch),
      "PT: mine/checkpoints/meta.safetensors exists; continue from it with --resume, or remove it to train again",
      status: 1)
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "mine", "--resume", "--seed", "1", in: scratch),
      "mine holds a run of another recipe or seed (compare mine/recipe.yml); choose another --output", status: 1)
    try scratch.writeRecipe("other.yml", steps: 4)
    expectRefusal(
      try Graft.run("run", "other.yml", "--output", "mine", "--resume", in: scratch),
      "mine holds a run of another recipe", status: 1)
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "new", "--resume", in: scratch), "new holds no run to resume",
      status: 1)
    #expect(!scratch.exists("new"))
    try scratch.write("file", Data())
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "file/run", in: scratch),
      "cannot create the run directory file/run", status: 1)
    #expect(try scratch.bytes("mine/checkpoints/meta.safetensors") == before)
    #expect(try scratch.bytes("mine/metrics.jsonl") == metrics)
  }

  @Test func twoRunsDoNotShareADirectory() throws {
    try scratch.writeRecipe(steps: 100_000)
    let first = try Graft.start(["run", "recipe.yml", "--output", "mine"], in: scratch)
    first.wait(for: "parameters")
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "mine", "--resume", in: scratch),
      "mine is in use by another graft run; wait for it or choose another --output", status: 1)
    first.send(SIGTERM)
    expectRefusal(first.wait(), "continue with: graft run recipe.yml --resume --output mine", status: 130)
  }

  /// The limit is one on file size, which the shell sets; the system reports it like a full disk, by a failing write.
  @Test func fullDiskWhileStoring() throws {
    try scratch.writeRecipe(steps: 40)
    let fits = try Graft.run("run", "recipe.yml", "--phase", "PT", "--output", "fits", in: scratch)
    #expect(fits.status == 0, "\(fits)")
    let size = try scratch.bytes("fits/checkpoints/meta.safetensors").count
    // In units of 512 bytes: less than a checkpoint, more than the recipe and the metrics until then.
    let limit = size / 512 / 2
    let outcome = try Graft.start(
      ["run", "recipe.yml", "--phase", "PT", "--output", "full"],
      environment: ["XDG_CACHE_HOME": scratch.file("cache")], in: scratch,
      under: "ulimit -f \(limit)"
    ).wait()
    expectRefusal(outcome, "File too large", status: 1)
    #expect(outcome.errors.contains("full/checkpoints/PT.state.safetensors: cannot write"), "\(outcome.errors)")
    #expect(scratch.names("full/checkpoints") == [])
    let resumed = try Graft.run("run", "recipe.yml", "--phase", "PT", "--output", "full", "--resume", in: scratch)
    #expect(resumed.status == 0, "\(resumed)")
    #expect(
      try scratch.bytes("full/checkpoints/meta.safetensors") == scratch.bytes("fits/checkpoints/meta.safetensors"))
  }
}
