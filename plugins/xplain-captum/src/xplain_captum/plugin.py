"""What this distribution registers; light, since discovery imports it."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1

EXPLAINERS = (
    (
        "integrated-gradients",
        "gradients:IntegratedGradients",
        "Path integral of gradients (Sundararajan et al. 2017)",
    ),
    ("saliency", "gradients:Saliency", "Absolute value of the gradient (Simonyan et al. 2014)"),
    (
        "input-x-gradient",
        "gradients:InputXGradient",
        "Latents times gradient (Shrikumar et al. 2016)",
    ),
    (
        "gradient-shap",
        "sampling:GradientShap",
        "Expected gradients over draws of the baseline (Erion et al. 2021)",
    ),
    ("smooth-grad", "sampling:SmoothGrad", "Mean gradient under noise (Smilkov et al. 2017)"),
    ("var-grad", "sampling:VarGrad", "Variance of the gradient under noise (Adebayo et al. 2018)"),
    ("deep-lift", "deep_lift:DeepLift", "Differences followed layer by layer (Shrikumar 2017)"),
    ("lrp", "lrp:Lrp", "Relevance handed down layer by layer, ε rule (Bach et al. 2015)"),
    (
        "guided-backprop",
        "rectifiers:GuidedBackprop",
        "Gradient, only positive through every ReLU (Springenberg et al. 2015)",
    ),
    (
        "deconvolution",
        "rectifiers:Deconvolution",
        "Gradient, rectified in place of every ReLU (Zeiler and Fergus 2014)",
    ),
    (
        "feature-ablation",
        "ablation:FeatureAblation",
        "What the score loses without each group of elements",
    ),
    (
        "occlusion",
        "ablation:Occlusion",
        "What the score loses behind a sliding window (Zeiler and Fergus 2014)",
    ),
    (
        "shapley-sampling",
        "coalitions:ShapleySampling",
        "Shapley values over random orders of groups (Castro et al. 2009)",
    ),
    (
        "kernel-shap",
        "coalitions:KernelShap",
        "Shapley values of groups by weighted regression (Lundberg and Lee 2017)",
    ),
    ("lime", "coalitions:Lime", "Local linear surrogate over groups (Ribeiro et al. 2016)"),
)

METRICS = (
    (
        "infidelity",
        "metrics:infidelity",
        "The attribution's squared error in predicting score drops",
    ),
    ("max-sensitivity", "metrics:max_sensitivity", "Largest change under a small change of input"),
)


@hookimpl
def register_explainers(register: Register) -> None:
    """Register the attribution methods."""
    for name, target, summary in EXPLAINERS:
        register(name, f"xplain_captum.{target}", summary=summary)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register the metrics of Yeh et al. (2019)."""
    for name, target, summary in METRICS:
        register(name, f"xplain_captum.{target}", summary=summary)
