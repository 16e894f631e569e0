/// The JSON of a case: sizes of the models and settings of the step. Which of them are there depends on the group.
struct CaseDescription: Decodable, Sendable {
  /// `NN_…`, NN being the group.
  let name: String
  let set: String?
  let config: Config?

  let idx: Int?
  let teacherStage: Int?
  let dividedDepths: [Int]?
  let stageGroups: [OptimizerGroup]?

  let lossKind: String?
  let smoothing: Double?
  let preStitchPositions: [Int]?
  let postStitchPositions: [Int]?

  let groups: [OptimizerGroup]?
  let lr: Double?
  let lrStep3: Double?
  let betas: [Double]?
  let eps: Double?
  let clipNorms: [Double]?
  let clipMax: Double?

  let schedules: [String: Schedule]?

  let model: CircuitModel?
  let hinge: Double?
  let hingeWeight: Double?
  let blockModel: BlockModelSettings?

  let priors: [String: Prior]?
  let truncation: Double?
  let signatureDimension: Int?

  enum CodingKeys: String, CodingKey {
    case name, set, config, idx, smoothing, groups, lr, betas, eps, hinge, priors, truncation
    case model = "model_kwargs"
    case hingeWeight = "hinge_weight"
    case blockModel = "sbm"
    case signatureDimension = "signature_dim"
    case teacherStage = "teacher_stage"
    case dividedDepths = "divided_depths"
    case stageGroups = "optimizer_groups_stage_names"
    case lossKind = "loss_kind"
    case preStitchPositions = "pre_stitch_pos"
    case postStitchPositions = "post_stitch_pos"
    case lrStep3 = "lr_step3"
    case clipNorms = "clip_norms"
    case clipMax = "clip_max"
    case schedules = "cases"
  }

  struct Config: Decodable, Sendable {
    let img: Int?
    let patch: Int?
    let classes: Int?
    /// Width and heads of meta model and teacher.
    let embed: Int?
    let heads: Int?
    /// Width and heads of the student.
    let studentEmbed: Int?
    let studentHeads: Int?
    let studentDepth: Int?
    let vitDepths: [Int]?
    let metaDepths: [Int]?
    let teacherDepths: [Int]?
    let fullDepths: [Int]?
    let experts: Int?
    let topK: Int?
    /// Which blocks have experts: of a student module, of the full model.
    let moePositions: [Int]?
    let fullMoEPositions: [Int]?
    let alpha: Double?
    let tau: Double?
    let vit: VisionTransformerSettings?
    let circuit: CircuitSettings?

    enum CodingKeys: String, CodingKey {
      case img, patch, classes, embed, heads, experts, alpha, tau
      case circuit = "nac"
      case studentEmbed = "s_embed"
      case studentHeads = "s_heads"
      case studentDepth = "s_depth"
      case vitDepths = "vit_div"
      case metaDepths = "meta_div"
      case teacherDepths = "teacher_div"
      case fullDepths = "full_div"
      case topK = "top_k"
      case moePositions = "moe_pos"
      case fullMoEPositions = "full_moe"
      case vit = "vit_kw"
    }
  }

  struct VisionTransformerSettings: Decodable, Sendable {
    let qkvBias: Bool?
    let eps: Double?
    let mlpRatio: Int?

    enum CodingKeys: String, CodingKey {
      case eps
      case qkvBias = "qkv_bias"
      case mlpRatio = "mlp_ratio"
    }
  }

  /// A Neural Attentive Circuit.
  struct CircuitSettings: Decodable, Sendable {
    let state: Int
    let code: Int
    let heads: Int
    let headDimension: Int
    let capacity: Double
    let gridFeatures: Int
    /// Positions along one side.
    let grid: Int
    let inputs: Int?
    let mediators: Int?
    let outputs: Int?
    let signature: Int?
    let iterations: Int?
    let truncation: Double?
    let temperature: Double?

    enum CodingKeys: String, CodingKey {
      case state, code, heads, grid
      case headDimension = "head_dim"
      case capacity = "cap"
      case gridFeatures = "grid_dim"
      case inputs = "n_in"
      case mediators = "n_med"
      case outputs = "n_out"
      case signature = "sig"
      case iterations = "iters"
      case truncation = "trunc"
      case temperature = "temp"
    }
  }

  struct OptimizerGroup: Decodable, Sendable {
    let weightDecay: Double
    let names: [String]

    enum CodingKeys: String, CodingKey {
      case names
      case weightDecay = "weight_decay"
    }
  }

  /// What a circuit was constructed with, beside its sizes.
  struct CircuitModel: Decodable, Sendable {
    let graph: GraphSettings?

    struct GraphSettings: Decodable, Sendable {
      let codeNoise: Double?

      enum CodingKeys: String, CodingKey {
        case codeNoise = "code_noise_scale"
      }
    }

    enum CodingKeys: String, CodingKey {
      case graph = "latent_graph_kwargs"
    }
  }

  /// The stochastic block model regulariser.
  struct BlockModelSettings: Decodable, Sendable {
    let clusters: Int
    let inside: Double
    let across: Double
    let weight: Double

    enum CodingKeys: String, CodingKey {
      case weight
      case clusters = "num_clusters"
      case inside = "p_in"
      case across = "p_out"
    }
  }

  /// A graph prior by the names of networkx: what the graph was drawn with, and how many edges it got.
  struct Prior: Decodable, Sendable {
    let arguments: Arguments
    let edges: Int

    struct Arguments: Decodable, Sendable {
      let n: Int?
      let m: Int?
      let p: Double?
      let l: Int?
      let k: Int?
      let inside: Double?
      let across: Double?
      let cliques: Int?
      let size: Int?

      enum CodingKeys: String, CodingKey {
        case n, m, p, l, k
        case inside = "p_in"
        case across = "p_out"
        case cliques = "num_cliques"
        case size = "clique_size"
      }
    }

    enum CodingKeys: String, CodingKey {
      case arguments = "kwargs"
      case edges = "num_edges"
    }
  }

  struct Schedule: Decodable, Sendable {
    let epochs: Int
    let warmupEpochs: Int
    let warmupLR: Double
    let minLR: Double
    let lr: Double
    /// `main` steps its schedule after epoch e to e, `nac` to e + 1.
    let loop: String

    enum CodingKeys: String, CodingKey {
      case epochs, lr, loop
      case warmupEpochs = "warmup_epochs"
      case warmupLR = "warmup_lr"
      case minLR = "min_lr"
    }
  }
}
