"""PyTorch's names and ours, as data: the page docs/from-pytorch.md and the hints of errors are made of it, by `nnscratch.hints`.

Names are without ``torch.`` in front. ``x`` is a tensor, ``ns`` is nnscratch, ``F`` is nnscratch.functional.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """A name of PyTorch's, what stands for it here (nothing, where it is empty), and what else to know.

    Examples
    --------
    >>> Row("cat", "ns.concatenate").note
    ''
    """

    theirs: str
    ours: str
    note: str = ""


# fmt: off
#: By where they stand in PyTorch the names that stand in the same place here.
SAME = {
    "": "Generator Tensor abs acos acosh arange argmax argmin argsort asin asinh atan atanh autocast ceil cos cosh cumsum einsum enable_grad erf exp expm1 eye "
    "flatten flip floor from_dlpack is_grad_enabled isinf isnan load log log1p logical_and logical_not logical_or logical_xor logsumexp manual_seed "
    "matmul max maximum mean min minimum no_grad norm ones prod rand randint randn randperm reciprocal remainder reshape round save sign "
    "sin sinh sort split sqrt square squeeze stack std sum swapaxes take tan tanh tensor tile topk transpose tril triu trunc var where zeros",
    "Tensor.": "abs argmax argmin backward cumsum detach device dtype exp flatten grad is_leaf item log max mean min ndim numpy prod "
    "requires_grad requires_grad_ reshape shape size sqrt squeeze std sum swapaxes to tolist transpose var",
    "nn.": "AdaptiveAvgPool2d AvgPool1d AvgPool2d BCELoss BCEWithLogitsLoss BatchNorm1d BatchNorm2d Buffer CELU Conv1d Conv2d ConvTranspose2d "
    "CosineEmbeddingLoss CrossEntropyLoss Dropout Dropout1d Dropout2d ELU Embedding EmbeddingBag Flatten GELU GRU GRUCell GroupNorm Hardsigmoid "
    "Hardswish HuberLoss Identity KLDivLoss L1Loss LSTM LSTMCell LayerNorm LeakyReLU Linear LogSoftmax MSELoss MaxPool1d MaxPool2d Mish Module "
    "ModuleDict ModuleList MultiheadAttention NLLLoss PReLU Parameter ParameterDict ParameterList RMSNorm RNN RNNCell ReLU SELU Sequential SiLU "
    "Sigmoid SmoothL1Loss Softmax Softplus Softsign Tanh Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder "
    "TransformerEncoderLayer TripletMarginLoss Upsample init utils",
    "nn.Module.": "apply buffers children eval forward load_state_dict modules named_buffers named_children named_modules named_parameters "
    "parameters register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook requires_grad_ state_dict to train "
    "training zero_grad",
    "nn.functional.": "adaptive_avg_pool2d avg_pool1d avg_pool2d batch_norm binary_cross_entropy celu conv1d conv2d conv_transpose1d "
    "conv_transpose2d cosine_embedding_loss cosine_similarity cross_entropy dropout dropout1d dropout2d elu embedding embedding_bag fold gelu "
    "group_norm hardsigmoid hardswish huber_loss instance_norm interpolate kl_div l1_loss layer_norm leaky_relu linear local_response_norm "
    "log_softmax max_pool1d max_pool2d max_unpool2d mish mse_loss nll_loss normalize pairwise_distance pixel_shuffle pixel_unshuffle prelu relu "
    "rms_norm scaled_dot_product_attention selu sigmoid silu smooth_l1_loss softmax softplus softsign tanh triplet_margin_loss unfold",
    "nn.init.": "calculate_gain constant_ eye_ kaiming_normal_ kaiming_uniform_ normal_ ones_ orthogonal_ trunc_normal_ uniform_ xavier_normal_ "
    "xavier_uniform_ zeros_",
    "optim.": "Adagrad Adam AdamW NAdam Optimizer RMSprop SGD lr_scheduler",
    "optim.Optimizer.": "add_param_group load_state_dict param_groups state_dict step zero_grad",
    "optim.lr_scheduler.": "CosineAnnealingLR CosineAnnealingWarmRestarts ExponentialLR LRScheduler LambdaLR LinearLR MultiStepLR OneCycleLR "
    "ReduceLROnPlateau SequentialLR StepLR",
    "optim.lr_scheduler.LRScheduler.": "get_last_lr load_state_dict state_dict step",
    "utils.data.": "DataLoader Dataset IterableDataset Subset TensorDataset random_split",
}

#: Names that are others here, or that have nothing here.
NAMES = (
    # Tensors made
    Row("FloatTensor", "ns.tensor"),
    Row("LongTensor", "ns.tensor", 'with dtype="int64"'),
    Row("as_tensor", "ns.Tensor", "which shares an array's memory"),
    Row("asarray", "ns.Tensor", "which shares an array's memory"),
    Row("from_numpy", "ns.Tensor", "which shares an array's memory"),
    Row("empty", "ns.zeros"),
    Row("full", "ns.tensor", "of np.full(shape, value)"),
    Row("linspace", "ns.tensor", "of np.linspace(start, stop, steps)"),
    Row("zeros_like", "ns.zeros", "of x.shape"),
    Row("ones_like", "ns.ones", "of x.shape"),
    Row("rand_like", "ns.rand", "of x.shape"),
    Row("randn_like", "ns.randn", "of x.shape"),
    Row("normal", "ns.randn", "times the deviation, plus the mean"),
    Row("bernoulli", "ns.rand", "compared with the probabilities: ns.rand(*p.shape) < p"),
    Row("is_tensor", "ns.Tensor", "in isinstance(x, ns.Tensor)"),
    Row("set_default_dtype", "ns.tensor", "whose dtype says it for each tensor, and a layer's for its weights"),
    *(
        Row(name, repr(ours), f"a dtype is a str or NumPy's: dtype={ours!r}")
        for name, ours in (
            ("float16", "float16"), ("half", "float16"), ("float32", "float32"), ("float", "float32"), ("float64", "float64"),
            ("double", "float64"), ("int8", "int8"), ("uint8", "uint8"), ("int16", "int16"), ("int32", "int32"), ("int", "int32"),
            ("int64", "int64"), ("long", "int64"), ("bool", "bool"),
        )
    ),
    Row("bfloat16", "'float32'", "there are no 16-bit numbers with 8 bits of exponent here"),
    # Shapes
    Row("cat", "ns.concatenate"),
    Row("concat", "ns.concatenate"),
    Row("chunk", "ns.split", "which takes the number of parts"),
    Row("unsqueeze", "ns.expand_dims"),
    Row("permute", "ns.transpose", "which takes the order of the axes"),
    Row("movedim", "ns.transpose", "which takes the order of the axes"),
    Row("swapdims", "ns.swapaxes"),
    Row("t", "ns.swapaxes", "with the axes 0 and 1"),
    Row("unbind", "ns.split", "or go through the tensor in a loop"),
    Row("vstack", "ns.concatenate"),
    Row("hstack", "ns.concatenate", "with axis=1"),
    Row("broadcast_tensors", "ns.broadcast_to"),
    Row("repeat_interleave", "ns.take", "with np.repeat(np.arange(n), times) as indices"),
    Row("roll", "ns.take", "with np.roll(np.arange(n), shift) as indices"),
    Row("numel", "x.size"),
    # Picking out
    Row("gather", "ns.take_along_axis"),
    Row("scatter", "ns.put_along_axis"),
    Row("index_select", "ns.take"),
    Row("masked_fill", "ns.where"),
    Row("masked_select", "x[mask]"),
    Row("nonzero", "np.nonzero", "of x.numpy()"),
    # Arithmetic
    Row("sub", "ns.subtract"),
    Row("mul", "ns.multiply"),
    Row("div", "ns.divide"),
    Row("true_divide", "ns.divide"),
    Row("neg", "ns.negative"),
    Row("pow", "ns.power"),
    Row("rsqrt", "ns.sqrt", "under 1: 1 / ns.sqrt(x)"),
    Row("absolute", "ns.abs"),
    Row("clamp", "ns.clip"),
    Row("eq", "ns.equal"),
    Row("ne", "ns.not_equal"),
    Row("lt", "ns.less"),
    Row("le", "ns.less_equal"),
    Row("gt", "ns.greater"),
    Row("ge", "ns.greater_equal"),
    Row("mm", "ns.matmul"),
    Row("bmm", "ns.matmul"),
    Row("mv", "ns.matmul"),
    Row("dot", "ns.matmul"),
    Row("addmm", "ns.matmul", "and +"),
    Row("baddbmm", "ns.matmul", "and +"),
    Row("outer", "ns.einsum", "with 'i,j->ij'"),
    Row("amax", "ns.max"),
    Row("amin", "ns.min"),
    Row("allclose", "np.allclose"),
    Row("any", "np.any", "of x.numpy()"),
    Row("all", "np.all", "of x.numpy()"),
    Row("relu", "F.relu"),
    Row("sigmoid", "F.sigmoid"),
    Row("softmax", "F.softmax"),
    Row("log_softmax", "F.log_softmax"),
    Row("dropout", "F.dropout"),
    # Modes, devices, files
    Row("inference_mode", "ns.no_grad"),
    Row("set_grad_enabled", "ns.enable_grad", "or ns.no_grad"),
    Row("device", "'cpu'", "a device is a str: 'cpu' or 'cuda'"),
    Row("cuda", "ns.devices", "which says whether there is a 'cuda', and x.to('cuda')"),
    Row("seed", "ns.manual_seed"),
    Row("initial_seed", "ns.manual_seed"),
    Row("compile", "", "leave it out: kernels are compiled without being asked"),
    Row("jit", "", "leave it out: kernels are compiled without being asked"),
    Row("amp", "ns.autocast"),
    Row("func", "ns.grad", "ns.jacobian, ns.hessian and ns.jvp"),
    Row("vmap", "", "write the function for a batch"),
    Row("utils", "ns.data", "has what is in torch.utils.data"),
    Row("multiprocessing", "ns.data.DataLoader", "with num_workers"),
    Row("Size", "tuple"),
    Row("set_num_threads", "", "set the variable OPENBLAS_NUM_THREADS before Python starts"),
    # Methods of tensors
    Row("Tensor.view", "x.reshape"),
    Row("Tensor.view_as", "x.reshape", "with the other's shape"),
    Row("Tensor.dim", "x.ndim", "which is no method"),
    Row("Tensor.numel", "x.size", "which is no method"),
    Row("Tensor.unsqueeze", "ns.expand_dims"),
    Row("Tensor.permute", "x.transpose"),
    Row("Tensor.t", "x.T"),
    Row("Tensor.mT", "x.swapaxes", "with -1 and -2"),
    Row("Tensor.contiguous", "", "leave it out: functions take arrays of any layout"),
    Row("Tensor.repeat", "ns.tile"),
    Row("Tensor.expand", "ns.broadcast_to"),
    Row("Tensor.clone", "x.copy"),
    Row("Tensor.clamp", "x.clip"),
    Row("Tensor.clamp_", "x.clip", "assigned to x[...]"),
    Row("Tensor.cpu", "x.to", "with 'cpu'"),
    Row("Tensor.cuda", "x.to", "with 'cuda'"),
    Row("Tensor.type", "x.astype"),
    *(
        Row(f"Tensor.{name}", "x.astype", f"with {dtype!r}")
        for name, dtype in (
            ("float", "float32"), ("double", "float64"), ("half", "float16"), ("long", "int64"), ("int", "int32"), ("bool", "bool"),
        )
    ),
    Row("Tensor.amax", "x.max"),
    Row("Tensor.amin", "x.min"),
    Row("Tensor.eq", "==", "ns.equal"),
    Row("Tensor.add_", "+=", "inside ns.no_grad()"),
    Row("Tensor.sub_", "-=", "inside ns.no_grad()"),
    Row("Tensor.mul_", "*=", "inside ns.no_grad()"),
    Row("Tensor.div_", "/=", "inside ns.no_grad()"),
    Row("Tensor.zero_", "x[...] = 0", "inside ns.no_grad()"),
    Row("Tensor.fill_", "x[...] = value", "inside ns.no_grad()"),
    Row("Tensor.copy_", "x[...] = other", "inside ns.no_grad()"),
    Row("Tensor.normal_", "nn.init.normal_"),
    Row("Tensor.uniform_", "nn.init.uniform_"),
    Row("Tensor.detach_", "x.detach"),
    Row("Tensor.gather", "ns.take_along_axis"),
    Row("Tensor.scatter", "ns.put_along_axis"),
    Row("Tensor.scatter_", "ns.put_along_axis", "which makes a new one"),
    Row("Tensor.masked_fill", "ns.where"),
    Row("Tensor.masked_fill_", "ns.where"),
    Row("Tensor.index_select", "ns.take"),
    Row("Tensor.matmul", "@"),
    Row("Tensor.mm", "@"),
    Row("Tensor.bmm", "@"),
    Row("Tensor.pow", "**"),
    Row("Tensor.relu", "F.relu"),
    Row("Tensor.sigmoid", "F.sigmoid"),
    Row("Tensor.softmax", "F.softmax"),
    Row("Tensor.log_softmax", "F.log_softmax"),
    *(
        Row(f"Tensor.{name}", f"ns.{name}")
        for name in "acos argsort asin atan ceil cos cosh erf floor isinf isnan logsumexp maximum minimum norm reciprocal round sign sin sinh "
        "sort split square tan tanh topk tril triu trunc where".split()
    ),
    Row("Tensor.any", "x.numpy().any()"),
    Row("Tensor.all", "x.numpy().all()"),
    Row("Tensor.is_cuda", "x.device"),
    Row("Tensor.retain_grad", "ns.grad", "which gives the gradient by any tensor"),
    Row("Tensor.register_hook", "ns.grad", "or a module's register_full_backward_hook"),
    # Modules
    Row("nn.functional", "ns.functional"),
    Row("nn.AdaptiveAvgPool1d", "nn.AdaptiveAvgPool2d", "on (N, C, 1, L)"),
    Row("nn.AdaptiveMaxPool2d", "x.max", "with axis=(2, 3), keepdims=True where it makes one value of a channel"),
    Row("nn.BatchNorm3d", "nn.BatchNorm1d", "on (N, C, D * H * W)"),
    Row("nn.Conv3d", "", "convolutions have one or two axes here"),
    Row("nn.ConvTranspose1d", "F.conv_transpose1d"),
    Row("nn.DataParallel", "", "leave it out: there is one device"),
    Row("nn.Dropout3d", "nn.Dropout1d", "on (N, C, D * H * W)"),
    Row("nn.AlphaDropout", "nn.Dropout"),
    Row("nn.Hardtanh", "ns.clip", "with -1 and 1"),
    Row("nn.ReLU6", "ns.clip", "with 0 and 6"),
    Row("nn.LogSigmoid", "F.softplus", "as -F.softplus(-x)"),
    Row("nn.Tanhshrink", "ns.tanh", "as x - ns.tanh(x)"),
    Row("nn.InstanceNorm2d", "F.instance_norm"),
    Row("nn.LocalResponseNorm", "F.local_response_norm"),
    Row("nn.PixelShuffle", "F.pixel_shuffle"),
    Row("nn.PixelUnshuffle", "F.pixel_unshuffle"),
    Row("nn.Unfold", "F.unfold"),
    Row("nn.Fold", "F.fold"),
    Row("nn.Unflatten", "nn.Reshape", "which takes the shape of a sample"),
    Row("nn.Softmax2d", "nn.Softmax", "with axis=1"),
    Row("nn.CosineSimilarity", "F.cosine_similarity"),
    Row("nn.PairwiseDistance", "F.pairwise_distance"),
    Row("nn.GaussianNLLLoss", "F.mse_loss", "and ns.log, by its formula"),
    Row("nn.CTCLoss", "", "it is not here"),
    Row("nn.UpsamplingNearest2d", "nn.Upsample"),
    Row("nn.UpsamplingBilinear2d", "nn.Upsample", "with mode='bilinear', align_corners=True"),
    Row("nn.ZeroPad2d", "ns.pad"),
    Row("nn.ReflectionPad2d", "ns.pad", "with mode='reflect'"),
    Row("nn.SyncBatchNorm", "nn.BatchNorm2d"),
    Row("nn.Module.cuda", "module.to('cuda')"),
    Row("nn.Module.cpu", "module.to('cpu')"),
    Row("nn.Module.double", "", "make its layers with dtype='float64'"),
    Row("nn.Module.float", "", "make its layers with dtype='float32'"),
    Row("nn.Module.half", "", "make its layers with dtype='float16'"),
    Row("nn.Module.add_module", "setattr(module, name, layer)"),
    Row("nn.Module.register_module", "setattr(module, name, layer)"),
    Row("nn.Module.register_parameter", "module.name = nn.Parameter(...)"),
    Row("nn.Module.get_submodule", "dict(module.named_modules())[path]"),
    Row("nn.Module.get_parameter", "dict(module.named_parameters())[path]"),
    Row("nn.Module.register_backward_hook", "module.register_full_backward_hook"),
    Row("nn.Module.compile", "", "leave it out: kernels are compiled without being asked"),
    # Functions of networks
    Row("nn.functional.binary_cross_entropy_with_logits", "F.binary_cross_entropy", "with from_logits=True"),
    Row("nn.functional.gumbel_softmax", "F.softmax", "of the logits plus Gumbel noise, -ns.log(-ns.log(ns.rand(*z.shape)))"),
    Row("nn.functional.hardtanh", "ns.clip"),
    Row("nn.functional.relu6", "ns.clip", "with 0 and 6"),
    Row("nn.functional.logsigmoid", "F.softplus", "as -F.softplus(-x)"),
    Row("nn.functional.one_hot", "ns.data.one_hot"),
    Row("nn.functional.pad", "ns.pad", "which takes the widths of every axis, from the first"),
    Row("nn.functional.upsample", "F.interpolate"),
    Row("nn.functional.relu_", "F.relu"),
    Row("nn.functional.adaptive_avg_pool1d", "F.adaptive_avg_pool2d", "on (N, C, 1, L)"),
    # Initial values, gradients held
    Row("nn.init.dirac_", "", "assign the values inside ns.no_grad()"),
    Row("nn.init.sparse_", "", "assign the values inside ns.no_grad()"),
    Row("nn.init.xavier_uniform", "nn.init.xavier_uniform_"),
    Row("nn.init.xavier_normal", "nn.init.xavier_normal_"),
    Row("nn.init.kaiming_uniform", "nn.init.kaiming_uniform_"),
    Row("nn.init.kaiming_normal", "nn.init.kaiming_normal_"),
    Row("nn.utils.clip_grad_norm_", "optim.clip_grad_norm"),
    Row("nn.utils.clip_grad_value_", "optim.clip_grad_value"),
    Row("nn.utils.parameters_to_vector", "ns.concatenate", "of p.flatten() for each p in module.parameters()"),
    # Optimisers, schedules, data
    Row("optim.LBFGS", "optim.Adam", "as every step here is by one gradient"),
    Row("optim.Adadelta", "optim.RMSprop"),
    Row("optim.Adamax", "optim.Adam"),
    Row("optim.RAdam", "optim.NAdam"),
    Row("optim.SparseAdam", "optim.Adam"),
    Row("optim.lr_scheduler.ChainedScheduler", "optim.lr_scheduler.LambdaLR", "with the product of their factors"),
    Row("optim.lr_scheduler.ConstantLR", "optim.lr_scheduler.LambdaLR"),
    Row("optim.lr_scheduler.CyclicLR", "optim.lr_scheduler.CosineAnnealingWarmRestarts", "or optim.lr_scheduler.OneCycleLR"),
    Row("optim.lr_scheduler.MultiplicativeLR", "optim.lr_scheduler.LambdaLR"),
    Row("optim.lr_scheduler.PolynomialLR", "optim.lr_scheduler.LambdaLR"),
    Row("utils.data.ConcatDataset", "ns.data.Dataset", "written for both"),
    Row("utils.data.RandomSampler", "ns.data.DataLoader", "with shuffle=True"),
    Row("utils.data.WeightedRandomSampler", "ns.data.oversample"),
    Row("utils.data.default_collate", "ns.data.DataLoader", "which does it"),
)

#: Names of arguments. One that stands for a single function has that before it.
ARGUMENTS = (
    Row("dim=", "axis="),
    Row("keepdim=", "keepdims="),
    Row("start_dim=", "start_axis="),
    Row("dims=", "axis="),
    Row("descending=", "", "flip the result of ns.sort along its axis"),
    Row("unbiased=", "ddof=", "1 where it is True; the default here is 0"),
    Row("correction=", "ddof=", "whose default here is 0"),
    Row("negative_slope=", "slope="),
    Row("inplace=", "", "leave it out: functions make new arrays"),
    Row("device=", "", "leave it out, and move what was made by .to(...)"),
    Row("non_blocking=", "", "leave it out"),
    Row("pin_memory=", "", "leave it out"),
    Row("persistent_workers=", "", "leave it out"),
    Row("sampler=", "shuffle=", "or pass a Subset"),
    Row("out=", "", "leave it out: functions make new arrays"),
    Row("other=", "b="),
    Row("size_average=", "reduction="),
    Row("reduce=", "reduction="),
    Row("split_size_or_sections=", "sections=", "the number of parts, or the indices to cut at"),
    Row("track_running_stats=", "", "leave it out: it does"),
    Row("elementwise_affine=", "affine="),
    Row("padding_mode=", "", "set the edge around the input by ns.pad before"),
    Row("last_epoch=", "", "leave it out, and go on by load_state_dict"),
    Row("foreach=", "", "leave it out: it steps all parameters at once where it can"),
    Row("fused=", "", "leave it out: it steps all parameters at once where it can"),
    Row("maximize=", "", "take the negative loss"),
    Row("weights_only=", "", "leave it out: files hold nothing else"),
    Row("retain_graph=", "", "leave it out: a graph can be gone through again"),
    Row("max=", "high="),
    Row("min=", "low="),
)

#: What is called alike and gives other numbers, or takes other arguments.
DIFFERENCES = (
    Row("F.cross_entropy(logits, labels)", "F.cross_entropy(logits, labels, from_logits=True)",
        "it takes probabilities, as the documents state it; nn.CrossEntropyLoss takes logits, as PyTorch's"),
    Row("F.cross_entropy of (N, C, …)", "classes on the last axis", "nn.CrossEntropyLoss and nn.NLLLoss have them on axis 1, as PyTorch's"),
    Row("F.binary_cross_entropy", "no limit to the logarithm", "PyTorch's stops at -100"),
    Row("optim.Adam(params)", "optim.Adam(params, bias_correction=True)", "the documents' Adam has none; so optim.AdamW; optim.NAdam has it"),
    Row("nn.Linear(3, 2) and other layers", "Glorot's uniform weights and a bias of 0", "PyTorch draws both from ±1/√(inputs); see nn.init"),
    Row("nn.LSTM(3, 2)", "forget_bias=1.0, and weights by Glorot and orthogonal", "pass forget_bias=0.0 for PyTorch's"),
    Row("x.std(), x.var()", "x.std(ddof=1), x.var(ddof=1)", "the default here is NumPy's, 0"),
    Row("values, indices = x.max(1)", "x.max(1), x.argmax(1)", "max and min give values alone; ties share the gradient"),
    Row("torch.sort(x), torch.argsort(x)", "ns.sort(x), ns.argsort(x)", "sort gives values alone"),
    Row("torch.split(x, 4)", "ns.split(x, x.shape[0] // 4)", "the number of parts, not their length"),
    Row("x.transpose(0, 1)", "x.swapaxes(0, 1)", "transpose takes the order of all axes, as NumPy's"),
    Row("x.size(0), x.size()", "x.shape[0], x.shape", "size is the number of elements"),
    Row("F.normalize(x), F.cosine_similarity(x, y)", "along the last axis", "PyTorch's are along axis 1"),
    Row("torch.tensor([1, 2])", "ns.tensor([1, 2], dtype=\"int64\")", "lists become float32, also those of whole numbers"),
    Row("torch.norm, torch.cumsum, torch.take without dim", "over all elements, flattened", "as NumPy's do"),
    Row("nn.RMSNorm(3)", "nn.RMSNorm(3), with eps=1e-5", "PyTorch's is the least step from 1 in the dtype"),
    Row("model.state_dict()", "NumPy arrays, copied", "ns.from_torch and ns.to_torch take weights over"),
    Row("torch.equal(x, y)", "np.array_equal(x, y)", "ns.equal compares element by element"),
    Row("torch.load(path)", "ns.load(path)", "of safetensors files; nothing is pickled"),
)
# fmt: on
