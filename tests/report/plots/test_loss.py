from reid_hash.report.plots.loss import loss_plot


def epoch(number, **terms):
    figures = {"images_per_second": 300.0, "learning_rate": 0.01, "spread": 0.4}
    return {
        "step": 10 * number,
        "epoch": number,
        "loss": sum(terms.values()) or 2.0,
        **terms,
        **figures,
    }


def evaluation(number, **figures):
    return {"step": 10 * number, "epoch": number, "queries": 50, **figures}


def labels_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_loss_and_its_terms():
    history = [epoch(n, triplet=2.0 / n, code_cross_entropy=1.0) for n in (1, 2, 3)]
    figure = loss_plot(history)
    (axes,) = figure.axes
    assert labels_of(axes) == ["loss", "triplet", "code cross entropy"]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert list(axes.lines[0].get_ydata()) == [3.0, 2.0, 2.0 / 3 + 1.0]
    assert list(axes.lines[1].get_ydata()) == [2.0, 1.0, 2.0 / 3]
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylim()[0] == 0


def test_a_single_term_is_not_drawn_twice():
    assert labels_of(loss_plot([epoch(1, triplet=1.0)]).axes[0]) == ["loss"]


def test_evaluations_are_a_second_panel():
    history = [
        epoch(1, triplet=2.0),
        evaluation(1, rank1=0.3, rank5=0.5, map=0.2),
        epoch(2, triplet=1.0),
        evaluation(2, rank1=0.4, rank5=0.6, map=0.3),
    ]
    losses, figures = loss_plot(history).axes
    assert list(losses.lines[0].get_ydata()) == [2.0, 1.0]
    assert labels_of(figures) == ["rank-1", "mAP"]
    assert list(figures.lines[0].get_xdata()) == [1, 2]
    assert list(figures.lines[0].get_ydata()) == [0.3, 0.4]
    assert losses.get_xlim() == figures.get_xlim()


def test_only_evaluations():
    (axes,) = loss_plot([evaluation(3, rank1=0.3)]).axes
    assert labels_of(axes) == ["rank-1"]
    low, high = axes.get_xlim()
    assert low < 3 < high


def test_a_resumed_run_counts_an_epoch_once():
    again = {**epoch(2, triplet=5.0), "loss": 5.0}
    (axes,) = loss_plot([epoch(1, triplet=2.0), epoch(2, triplet=9.0), again]).axes
    assert list(axes.lines[0].get_xdata()) == [1, 2]
    assert list(axes.lines[0].get_ydata()) == [2.0, 5.0]


def test_a_steep_loss_is_logarithmic():
    steep = [epoch(n, triplet=1000.0 / 10**n) for n in range(4)]
    assert loss_plot(steep).axes[0].get_yscale() == "log"
    assert loss_plot(steep[:2]).axes[0].get_yscale() == "linear"
    negative = [{**record, "regulariser": -1.0, "triplet": 1.0} for record in steep]
    axes = loss_plot(negative).axes[0]
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] < -1


def test_epochs_are_whole_numbers():
    axes = loss_plot([epoch(1, triplet=1.0), epoch(2, triplet=1.0)]).axes[0]
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_empty_history():
    (axes,) = loss_plot([]).axes
    assert [text.get_text() for text in axes.texts] == ["no epoch was finished"]
