import Foundation

/// Options of the reference's circuits that Graft has one value of. A case with another one would be recomputed wrongly.
enum FixedOptions {
  /// By name, wherever in the description of a model they stand.
  private static let values: [String: JSON] = [
    "add_one_to_scale": .bool(true), "cap_preset": .string("tiny"), "capacity_preset": .string("tiny"),
    "include_residual_in_latent_attention": .bool(false), "include_residual_in_read_in_attention": .bool(true),
    "input_tokenizer_type": .string("ConvNeXtImageTokenizer"), "kernel_type": .string("DotProductKernel"),
    "learnable_scale_gain": .bool(true), "mediators_only": .bool(true), "num_stages": .number(2),
    "output_tokenizer_type": .string("OutputLatentPooling"), "pre_output_layernorm": .bool(false),
    "qkv_bias_in_attention": .bool(false), "share_layernorm": .bool(true), "share_propagator_weights": .bool(false),
    "softmax_type": .string("gumbel"), "stochastic_kernel": .bool(true),
    "use_code_noise_in_latent_seeder": .bool(true), "use_geglu": .bool(true), "use_head": .bool(false),
  ]

  /// The parts of a case's JSON that describe models.
  struct Description: Decodable {
    let config: JSON?
    let model: JSON?
    let student: JSON?
    let blockModel: JSON?

    enum CodingKeys: String, CodingKey {
      case config
      case model = "model_kwargs"
      case student = "student_config"
      case blockModel = "sbm"
    }

    /// The first option with another value than Graft's, or two of one that disagree, in words; nil if there is none.
    var misfit: String? {
      if let asked = config?["trunc"], let kernel = model?["kernel_kwargs"]?["truncation"], kernel != asked {
        return "config.nac.trunc is \(asked), and kernel_kwargs.truncation \(kernel)"
      }
      return fixed
    }

    private var fixed: String? {
      FixedOptions.misfit(in: config, "config") ?? FixedOptions.misfit(in: model, "model_kwargs")
        ?? FixedOptions.misfit(in: student, "student_config")
        ?? FixedOptions.misfit(in: blockModel, "sbm")
    }
  }

  private static func misfit(in json: JSON?, _ path: String) -> String? {
    guard case .object(let members)? = json else { return nil }
    for (key, value) in members.sorted(by: { $0.key < $1.key }) {
      if let only = values[key], value != only {
        return "\(path).\(key) is \(value), and Graft's circuits have \(only) alone"
      }
      if let found = misfit(in: value, "\(path).\(key)") { return found }
    }
    return nil
  }

  enum JSON: Decodable, Equatable, Sendable, CustomStringConvertible {
    case bool(Bool)
    case number(Double)
    case string(String)
    case object([String: JSON])
    /// Null or an array, which no option here is.
    case other

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      self =
        if let bool = try? value.decode(Bool.self) { .bool(bool) } else if let number = try? value.decode(Double.self) {
          .number(number)
        } else if let string = try? value.decode(String.self) {
          .string(string)
        } else if let members = try? value.decode([String: JSON].self) { .object(members) } else { .other }
    }

    /// The member of this name, wherever it stands.
    subscript(name: String) -> JSON? {
      guard case .object(let members) = self else { return nil }
      return members[name] ?? members.values.lazy.compactMap { $0[name] }.first
    }

    var description: String {
      switch self {
      case .bool(let bool): "\(bool)"
      case .number(let number): number == number.rounded() ? "\(Int(number))" : "\(number)"
      case .string(let string): string
      case .object, .other: "no single value"
      }
    }
  }
}
