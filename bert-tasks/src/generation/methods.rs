//! The ways to fill masks: in blocks from left to right, all at once and again, or one after another at random.

use bert_core::random::Random;

use super::canvas::Canvas;
use super::choose::{Choice, Chosen, repeats};
use super::{Generation, GenerationOptions, Kind, Method};
use crate::Result;
use crate::masked_rows::masked_rows;
use crate::scores::log_sum_exp;

/// Told of all candidates after each pass.
pub(super) type OnStep<'a> = dyn FnMut(&[Canvas]) -> Result<()> + 'a;

impl Generation {
    pub(super) fn fill(
        &self,
        canvases: &mut [Canvas],
        options: &GenerationOptions,
        on_step: &mut OnStep<'_>,
    ) -> Result<()> {
        match options.method {
            Method::Blocks => self.blocks(canvases, options, on_step),
            Method::MaskPredict => self.mask_predict(canvases, options, on_step),
            Method::Gibbs => self.gibbs(canvases, options, on_step),
        }
    }

    /// Chooses tokens for some places of each candidate, all of which are masked at once. One pass of the model.
    /// `hidden` places are not there yet.
    pub(super) fn choose(
        &self,
        canvases: &[Canvas],
        places: &[Vec<usize>],
        hidden: &std::ops::Range<usize>,
        choice: Choice,
        options: &GenerationOptions,
        random: Random,
    ) -> Result<Vec<Vec<Option<Chosen>>>> {
        let seen: Vec<Canvas> = canvases.iter().map(|canvas| canvas.without(hidden)).collect();
        let sequences =
            seen.iter().zip(places).map(|(canvas, places)| canvas.masking(places, self.mask)).collect();
        masked_rows(&self.session, sequences, |candidate, at, logits| {
            let (canvas, place) = (&seen[candidate], places[candidate][at]);
            let first = place == canvas.free.start;
            let banned = repeats(&canvas.ids, place, options.no_repeat_ngram);
            let left_out = |id: u32| options.plain && self.kind(id) == Kind::Paired;
            let allowed = |id: u32| self.may_stand(id, first) && !left_out(id) && !banned.contains(&id);
            let random = random.numbered(candidate as u64);
            choice.draw(logits, allowed, random, place as u64)
        })
    }

    /// From left to right, some tokens a pass, with masks ahead that show the model that the text goes on.
    fn blocks(
        &self,
        canvases: &mut [Canvas],
        options: &GenerationOptions,
        on_step: &mut OnStep<'_>,
    ) -> Result<()> {
        let free = canvases[0].free.clone();
        let steps = options.steps.unwrap_or(free.len()).clamp(1, free.len());
        let block = free.len().div_ceil(steps);
        let random = Random::new(options.seed).named("blocks");
        for (step, start) in free.clone().step_by(block).enumerate() {
            let end = (start + block).min(free.end);
            let hidden = (end + options.lookahead).min(free.end)..free.end;
            let places = vec![(start..end).collect(); canvases.len()];
            let random = random.numbered(step as u64);
            let chosen = self.choose(canvases, &places, &hidden, options.choice(1.0), options, random)?;
            for (canvas, chosen) in canvases.iter_mut().zip(chosen) {
                for (place, chosen) in (start..end).zip(chosen) {
                    canvas.ids[place] = chosen.map_or(self.mask, |chosen| chosen.id);
                }
            }
            on_step(canvases)?;
        }
        Ok(())
    }

    /// All masks at once; then those that the model was least sure of again, fewer in each pass. Source:
    /// "Mask-Predict: Parallel Decoding of Conditional Masked Language Models" (Ghazvininejad et al., 2019). The
    /// temperature falls to 0 with the passes.
    fn mask_predict(
        &self,
        canvases: &mut [Canvas],
        options: &GenerationOptions,
        on_step: &mut OnStep<'_>,
    ) -> Result<()> {
        let free = canvases[0].free.clone();
        let steps = options.steps.unwrap_or(10);
        let random = Random::new(options.seed).named("mask-predict");
        let mut places = vec![free.clone().collect::<Vec<_>>(); canvases.len()];
        let mut sure = vec![vec![f64::NEG_INFINITY; free.len()]; canvases.len()];
        for step in 0..steps {
            let left = 1.0 - step as f64 / steps as f64;
            let choice = options.choice(left);
            let random = random.numbered(step as u64);
            let chosen = self.choose(canvases, &places, &(free.end..free.end), choice, options, random)?;
            for (candidate, chosen) in chosen.into_iter().enumerate() {
                for (&place, chosen) in places[candidate].iter().zip(chosen) {
                    let Some(Chosen { id, log_probability }) = chosen else { continue };
                    canvases[candidate].ids[place] = id;
                    sure[candidate][place - free.start] = log_probability;
                }
            }
            on_step(canvases)?;
            let again = free.len() * (steps - step - 1) / steps;
            for (places, sure) in places.iter_mut().zip(&sure) {
                let mut order: Vec<usize> = (0..free.len()).collect();
                order.sort_by(|&a, &b| sure[a].total_cmp(&sure[b]));
                order.truncate(again);
                order.sort_unstable();
                *places = order.into_iter().map(|at| free.start + at).collect();
            }
            if again == 0 {
                break;
            }
        }
        Ok(())
    }

    /// One place after another: first all in their order, then at random; the second half of the passes takes the best.
    /// Source: "BERT has a Mouth, and It Must Speak: BERT as a Markov Random Field Language Model" (Wang and Cho, 2019).
    fn gibbs(
        &self,
        canvases: &mut [Canvas],
        options: &GenerationOptions,
        on_step: &mut OnStep<'_>,
    ) -> Result<()> {
        let free = canvases[0].free.clone();
        let steps = options.steps.unwrap_or(6 * free.len());
        let random = Random::new(options.seed).named("gibbs");
        for step in 0..steps {
            let place = |candidate: u64| match step < free.len() {
                true => free.start + step,
                false => {
                    free.start + random.named("place").numbered(candidate).below(step as u64, free.len())
                }
            };
            let places: Vec<_> = (0..canvases.len() as u64).map(|candidate| vec![place(candidate)]).collect();
            // What has no token yet stays a mask.
            let choice = options.choice(if step * 2 < steps.max(2 * free.len()) { 1.0 } else { 0.0 });
            let random = random.numbered(step as u64);
            let chosen = self.choose(canvases, &places, &(free.end..free.end), choice, options, random)?;
            for (candidate, chosen) in chosen.into_iter().enumerate() {
                if let Some(Some(Chosen { id, .. })) = chosen.first() {
                    canvases[candidate].ids[places[candidate][0]] = *id;
                }
            }
            on_step(canvases)?;
        }
        Ok(())
    }

    /// How likely the chosen tokens are on average, each masked in turn: the logarithm of a probability.
    pub(super) fn rate(&self, canvases: &[Canvas]) -> Result<Vec<f64>> {
        let places =
            || canvases.iter().flat_map(|canvas| canvas.free.clone().map(move |place| (canvas, place)));
        let sequences = places().map(|(canvas, place)| canvas.masking(&[place], self.mask)).collect();
        let chosen: Vec<u32> = places().map(|(canvas, place)| canvas.ids[place]).collect();
        let rows = masked_rows(&self.session, sequences, |number, _, logits| {
            f64::from(logits[chosen[number] as usize]) - log_sum_exp(logits)
        })?;
        let length = canvases[0].free.len();
        Ok(rows.chunks(length).map(|rows| rows.iter().flatten().sum::<f64>() / length as f64).collect())
    }
}
